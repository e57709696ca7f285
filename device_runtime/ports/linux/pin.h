/* Threads that stay on a core of their own. */
#ifndef EDGERT_LINUX_PIN_H
#define EDGERT_LINUX_PIN_H

#include <stdint.h>

/* Note which cores this process may use: before the first thread is pinned. */
void edgert_find_cores(void);

/* Keep the calling thread on the core of this number among them, when the network's target asks for it and there are so
 * many; otherwise nothing happens. */
void edgert_pin(uint32_t thread);

#endif
