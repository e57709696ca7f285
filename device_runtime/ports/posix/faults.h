/* A fatal signal writes the fault record and starts the program anew, as a board would. */
#ifndef EDGERT_FAULTS_H
#define EDGERT_FAULTS_H

/* Catch fatal signals, and bring back the record of the program's life before. */
void edgert_faults_install(void);

/* Execute the program anew on the same stream; the record goes with it. Safe in a signal handler. */
_Noreturn void edgert_faults_restart(void);

#endif
