/* A fatal signal writes the fault record and starts the program anew, as a board would. */
#ifndef EDGERT_FAULTS_H
#define EDGERT_FAULTS_H

#include <stddef.h>

/* Catch fatal signals, and bring back the record of the program's life before. */
void edgert_faults_install(void);

/* Handle this thread's fatal signals on a stack of their own, from `low` on. */
void edgert_faults_use_stack(void *low, size_t bytes);

/* Execute the program anew on the same stream; the record goes with it. Safe in a signal handler. */
_Noreturn void edgert_faults_restart(void);

#endif
