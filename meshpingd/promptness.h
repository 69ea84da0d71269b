/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MESHPINGD_PROMPTNESS_H
#define MESHPINGD_PROMPTNESS_H

/*
 * This thread, and those that it starts from now on, are to get a core as soon as they have work, also when others
 * compute on all of them; their share of the machine stays as it is. A hint: Linux before 6.12 has nothing like it.
 */
void promptness_ask(void);

#endif
