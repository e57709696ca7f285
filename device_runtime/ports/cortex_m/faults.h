/* A fault writes the fault record and resets the core. */
#ifndef EDGERT_FAULTS_H
#define EDGERT_FAULTS_H

/* The handler of every exception that nobody asked for. Does not return. */
void edgert_fault_entry(void);

#endif
