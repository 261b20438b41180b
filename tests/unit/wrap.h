/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For tests that are linked with --wrap for malloc and its kin: what the
 * linker then calls, and what they are.
 */
#ifndef TESTS_UNIT_WRAP_H
#define TESTS_UNIT_WRAP_H

#include <stddef.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void __real_free(void *p);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void __wrap_free(void *p);

#endif
