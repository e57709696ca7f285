#include "system.h"

#include <string.h>

/* Called by _start with the stack as the kernel left it: the number of arguments, the arguments, NULL, the environment,
 * NULL (System V ABI, "Process Initialization"). */
_Noreturn void edgert_system_begin(long *stack);

int main(void);

static char **environment;

_Noreturn void edgert_system_begin(long *stack) {
    environment = (char **)(stack + 1 + stack[0] + 1);
    edgert_exit(main());
}

const char *edgert_system_environment(const char *name) {
    const size_t length = strlen(name);
    for (char **entry = environment; *entry != NULL; ++entry) {
        if (strlen(*entry) > length && memcmp(*entry, name, length) == 0 && (*entry)[length] == '=') {
            return *entry + length + 1u;
        }
    }
    return NULL;
}

long edgert_read_file(const char *path, char *text, size_t room) {
    const long file = edgert_system_call(CALL_OPEN_AT, AT_WORKING_FOLDER, (long)path, 0, 0, 0, 0);
    if (file < 0) {
        return file;
    }
    const long count = edgert_read((int)file, text, room - 1u);
    (void)edgert_system_call(CALL_CLOSE, file, 0, 0, 0, 0, 0);
    if (count >= 0) {
        text[count] = '\0';
    }
    return count;
}
