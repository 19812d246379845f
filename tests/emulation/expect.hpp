/* What the emulation's own tests count: failures, one line each. */
#ifndef TS_TESTS_EXPECT_HPP
#define TS_TESTS_EXPECT_HPP

#include <stdio.h>

inline int failures;

inline void expect(bool condition, const char *what)
{
    printf("%s %s\n", condition ? "ok  " : "FAIL", what);
    failures += !condition;
}

#endif
