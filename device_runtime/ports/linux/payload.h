/* A process has the memory for frames that carry an image in a few requests. */
#ifndef EDGERT_PAYLOAD_H
#define EDGERT_PAYLOAD_H

#define EDGERT_MAX_PAYLOAD 32768u

#endif
