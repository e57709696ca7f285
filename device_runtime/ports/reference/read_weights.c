#define _POSIX_C_SOURCE 200809L
#include "read_weights.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Defined by room.s of a network whose weights are a file. */
extern uint8_t model_weights[] __attribute__((weak));
extern uint8_t model_weights_end[] __attribute__((weak));

static const char FILE_NAME[] = "../src/weights.bin";

static int find_file(char *path, size_t room) {
    const ssize_t length = readlink("/proc/self/exe", path, room - 1u);
    if (length <= 0) {
        return 1;
    }
    path[length] = '\0';
    char *name = strrchr(path, '/');
    if (name == NULL || (size_t)(name + 1 - path) + sizeof FILE_NAME > room) {
        return 1;
    }
    memcpy(name + 1, FILE_NAME, sizeof FILE_NAME);
    return 0;
}

int read_weights(void) {
    char path[PATH_MAX];
    if (model_weights == NULL) {
        return 0;
    }
    FILE *file = find_file(path, sizeof path) == 0 ? fopen(path, "rb") : NULL;
    if (file == NULL) {
        fprintf(stderr, "%s is not there: run the program inside its bundle\n", FILE_NAME);
        return 1;
    }
    const size_t bytes = (size_t)(model_weights_end - model_weights);
    const size_t count = fread(model_weights, 1, bytes, file);
    fclose(file);
    if (count != bytes) {
        fprintf(stderr, "%s has %zu bytes instead of %zu\n", path, count, bytes);
        return 1;
    }
    return 0;
}
