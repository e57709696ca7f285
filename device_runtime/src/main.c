#include "port.h"
#include "serve.h"

int main(void) {
    edgert_port_start();
    edgert_serve(&edgert_installed_network);
    return 0;
}
