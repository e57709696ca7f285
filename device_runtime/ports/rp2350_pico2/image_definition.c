/* What the boot ROM looks for in the first 4 KiB of the flash (RP2350 Datasheet, 5.9.5): an executable for the Arm cores, in
 * the secure state, whose vector table lies first. */
#include <stdint.h>

#define BLOCK_BEGIN 0xFFFFDED3u
#define IMAGE_TYPE_ARM_EXECUTABLE 0x10210142u
#define LAST_ITEM_OF_ONE_WORD 0x000001FFu
#define NO_OTHER_BLOCK 0u
#define BLOCK_END 0xAB123579u

__attribute__((section(".image_definition"), used)) static const uint32_t image_definition[] = {
    BLOCK_BEGIN, IMAGE_TYPE_ARM_EXECUTABLE, LAST_ITEM_OF_ONE_WORD, NO_OTHER_BLOCK, BLOCK_END};
