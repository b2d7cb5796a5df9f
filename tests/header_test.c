/* header_test.c - each public header compiles alone. SPDX-License-Identifier: Apache-2.0 */
#include HONE_TEST_HEADER

int main(void)
{
    return 0;
}
