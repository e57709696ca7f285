#include "port.h"
#include "serve.h"
#include "slots.h"

/* That of src/slots/choose.c takes its place where the firmware has model slots. */
__attribute__((weak)) const edgert_network *edgert_slots_choose(void) {
    return &edgert_installed_network;
}

int main(void) {
    edgert_port_start();
    edgert_serve(edgert_slots_choose());
    return 0;
}
