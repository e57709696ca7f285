/* A fault writes the fault record and resets the core. */
#ifndef EDGERT_FAULTS_H
#define EDGERT_FAULTS_H

/* The handler of every exception that nobody asked for. Does not return. */
void edgert_fault_entry(void);

/* Let memory, bus, usage and secure faults have their own exceptions, so that the record tells them apart. */
void edgert_faults_enable(void);

#endif
