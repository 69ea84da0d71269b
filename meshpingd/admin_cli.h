/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MESHPINGD_ADMIN_CLI_H
#define MESHPINGD_ADMIN_CLI_H

/*
 * `meshpingd admin create --name NAME --password-file FILE [--config FILE] [--state-dir DIR]`; argv[0] is "admin".
 * Makes an administrator while the server does not run. The configuration gives breached_passwords, and state_dir where
 * that is not said. Exit status: 0 made, 1 not possible, 2 wrong usage.
 */
int admin_main(int argc, char **argv);
/* `meshpingd routes`: method, path, role and flags, action and the fields of its body of every route, one a line. 0. */
int routes_main(void);

#endif
