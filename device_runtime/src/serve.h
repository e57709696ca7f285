/* The command loop: serves one network over the port's byte stream. */
#ifndef EDGERT_SERVE_H
#define EDGERT_SERVE_H

#include "edgert.h"

/* Answer requests until the stream ends; on a board it never does. */
void edgert_serve(const edgert_network *network);

#endif
