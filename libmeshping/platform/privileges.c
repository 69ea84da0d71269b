/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <meshping/privileges.h>
#include <sys/capability.h>
#include <sys/prctl.h>

meshping_status meshping_privileges_drop(meshping_error *err)
{
    cap_t none;

    /* without CAP_SETPCAP this fails; then no_new_privs alone keeps them from coming back */
    for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
        (void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return meshping_error_set_errno(err, MESHPING_IO, errno, "cannot set no_new_privs");
    none = cap_init();
    if (!none)
        return meshping_error_set_errno(err, MESHPING_NOMEM, errno, "cannot drop capabilities");
    int failed = cap_set_proc(none);
    int why = errno;
    cap_free(none);
    if (failed)
        return meshping_error_set_errno(err, MESHPING_IO, why, "cannot drop capabilities");
    return MESHPING_OK;
}
