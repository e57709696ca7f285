/* The second stage of the boot (RP2040 Datasheet, 2.8.1): the ROM copies the first 256 bytes of the flash into RAM, compares
 * their last word with the CRC of what stands before it (CRC-32/MPEG-2), and runs them. They let the flash be read as memory
 * with the command 03h, which every flash knows, and go on to the program behind them. A test computes the CRC.
 *
 * 4.10.13, SSI: SSIENR 0x08, BAUDR 0x14 (an eighth of 125 MHz), CTRLR0 0x00 (frames of 32 bits, EEPROM reads), SPI_CTRLR0 0xF4 (command
 * 03h, 8 bits of it, 24 of address), CTRLR1 0x04. */

__attribute__((naked, used, section(".boot2"))) static void boot2(void) {
    __asm__ volatile(".syntax unified\n"
                     "ldr r3, =0x18000000\n"
                     "movs r0, #0\n"
                     "str r0, [r3, #0x08]\n"
                     "movs r1, #8\n"
                     "str r1, [r3, #0x14]\n"
                     "ldr r1, =0x001F0300\n"
                     "str r1, [r3, #0x00]\n"
                     "ldr r2, =0x180000F4\n"
                     "ldr r1, =0x03000218\n"
                     "str r1, [r2]\n"
                     "str r0, [r3, #0x04]\n"
                     "movs r1, #1\n"
                     "str r1, [r3, #0x08]\n"
                     /* The vector table behind: VTOR, then the stack pointer and the program. */
                     "ldr r0, =0x10000100\n"
                     "ldr r1, =0xE000ED08\n"
                     "str r0, [r1]\n"
                     "ldmia r0!, {r1, r2}\n"
                     "msr msp, r1\n"
                     "bx r2\n"
                     ".ltorg\n"
                     ".org 252\n"
                     ".word 0xc8ebfbee\n");
}
