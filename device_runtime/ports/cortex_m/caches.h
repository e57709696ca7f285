/* The Cortex-M7's caches. */
#ifndef EDGERT_CACHES_H
#define EDGERT_CACHES_H

/* Empty both caches and switch them on. Nothing else writes memory here, so nothing ever has to be cleaned. */
void edgert_caches_start(void);

#endif
