/* A test is a function whose name is a true sentence; CHECK says where it is not. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>

static int check_failures;

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            ++check_failures; \
            (void)printf("%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
        } \
    } while (0)

#define RUN_TEST(test) \
    do { \
        const int before = check_failures; \
        test(); \
        (void)printf("%s %s\n", check_failures == before ? "ok    " : "FAILED", #test); \
    } while (0)

#define TEST_RESULT (check_failures == 0 ? 0 : 1)

#endif
