/* Reads a stream of frames on stdin and writes every undamaged one anew: to compare with another implementation. */
#include <stdbool.h>
#include <stdio.h>

#include "frame.h"
#include "port.h"

void edgert_port_write(const uint8_t *bytes, uint32_t count) {
    (void)fwrite(bytes, 1u, count, stdout);
}

int main(void) {
    static edgert_receiver receiver;
    static edgert_frame frame;
    int byte;
    edgert_receiver_start(&receiver);
    while ((byte = getchar()) != EOF) {
        if (edgert_receiver_take(&receiver, (uint8_t)byte)) {
            const edgert_frame *taken = &receiver.frame;
            edgert_frame_begin(&frame, edgert_frame_command(taken), edgert_frame_sequence(taken));
            edgert_frame_add_bytes(&frame, edgert_frame_payload(taken), taken->payload_bytes);
            edgert_frame_finish(&frame, taken->bytes[1]);
            edgert_frame_send(&frame);
        }
    }
    return 0;
}
