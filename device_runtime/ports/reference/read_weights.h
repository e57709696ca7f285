/* A network's weights that do not lie in the host program. */
#ifndef REFERENCE_READ_WEIGHTS_H
#define REFERENCE_READ_WEIGHTS_H

/* Read ../src/weights.bin, seen from this program's folder, into the room that room.s holds for it. Returns 0 when it is
 * there, or when the program has no such room. */
int read_weights(void);

#endif
