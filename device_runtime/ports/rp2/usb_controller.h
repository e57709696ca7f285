/* The USB controller of the RP2040 (Datasheet, 4.1) and RP2350 (12.7), as a full speed device of four pipes. */
#ifndef EDGERT_RP2_USB_CONTROLLER_H
#define EDGERT_RP2_USB_CONTROLLER_H

#include <stdbool.h>
#include <stdint.h>

#define USB_PACKET_BYTES 64u
#define USB_SETUP_BYTES 8u

/* Endpoint 0 in both directions, 1 (notifications, which are never sent) and 2 (data). A pipe's number is its bit in
 * BUFF_STATUS: twice the endpoint's, and one more towards the device. */
typedef enum {
    USB_CONTROL_IN = 0,
    USB_CONTROL_OUT = 1,
    USB_NOTICES_IN = 2,
    USB_DATA_IN = 4,
    USB_DATA_OUT = 5,
} usb_pipe;
#define USB_PIPES 6u

typedef enum { USB_BULK = 2, USB_INTERRUPT = 3 } usb_transfer;

/* Begin as a device that the host sees. */
void usb_controller_start(void);

/* What happened since the last call: the bus was reset; packets were fetched or came (a bit a pipe); a control request came.
 * Each of the three raises the interrupt until it is told, once. */
bool usb_controller_was_reset(void);
uint32_t usb_controller_done_pipes(void);
bool usb_controller_take_setup(uint8_t setup[USB_SETUP_BYTES]);

void usb_controller_set_address(uint32_t address);

/* Take a pipe into use; its next packet is a DATA0. Closed, nothing is answered on it. */
void usb_pipe_open(usb_pipe pipe, usb_transfer transfer);
void usb_pipe_close(usb_pipe pipe);

/* The packet's bytes; only to be touched while the controller has no use for them. */
volatile uint8_t *usb_pipe_buffer(usb_pipe pipe);

/* Hand `count` bytes of the buffer over to be fetched, or the buffer to be filled: the pipe's bit in done_pipes says when
 * that happened. */
void usb_pipe_send(usb_pipe pipe, uint32_t count);
void usb_pipe_receive(usb_pipe pipe);
uint32_t usb_pipe_received(usb_pipe pipe);

/* Refuse the control request that came last. */
void usb_control_stall(void);

#endif
