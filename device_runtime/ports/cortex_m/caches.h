/* The Cortex-M7's caches. */
#ifndef EDGERT_CACHES_H
#define EDGERT_CACHES_H

/* Empty both caches and switch them on. */
void edgert_caches_start(void);

/* Write what the data cache holds into memory: a reset loses it, and with it the fault record. Does nothing where caches.c is
 * not linked. */
void edgert_caches_clean(void);

#endif
