/* What a board adds to uarte.c. */
#ifndef EDGERT_NRF_UARTE_H
#define EDGERT_NRF_UARTE_H

/* Bring the core to its full clock; called before the UART is started. */
void nrf_clock_start(void);

#endif
