#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `core` takes time and bytes as arguments: its objects may call no socket, clock, file, thread, random or database.
# usage: check_core_symbols.sh OBJECT...
# Known exception: if_nametoindex, for the zone of a link-local address given by name (fe80::1%eth0, address.h).
# Prints every outside symbol that core uses; fails when one of them is on the list below.
set -euo pipefail
[ $# -ge 5 ] || { echo "only $# objects given: is this all of core?"; exit 1; }

undefined=$(nm -u --format=posix "$@" | awk 'NF >= 2 && $2 == "U" { sub(/@.*/, "", $1); print $1 }' | sort -u)
defined=$(nm --defined-only --format=posix "$@" | awk 'NF >= 3 { print $1 }' | sort -u)
used=$(comm -23 <(echo "$undefined") <(echo "$defined"))
[ -n "$used" ] || { echo "nm found no symbol at all: wrong objects?"; exit 1; }

denied='^(
socket|socketpair|bind|connect|listen|accept4?|shutdown|getsockopt|setsockopt|getsockname|getpeername|
send(to|msg|mmsg)?|recv(from|msg|mmsg)?|getaddrinfo|freeaddrinfo|gethostby.*|res_.*|ares_.*|if_nameindex|if_indextoname|getifaddrs|
ioctl|fcntl|poll|ppoll|select|pselect|epoll_.*|eventfd|timerfd_.*|signalfd|inotify_.*|
time|clock|clock_.*|gettimeofday|times|nanosleep|sleep|usleep|alarm|setitimer|timer_.*|localtime(_r)?|mktime|ftime|
meshping_now_read|
open(at)?(64)?|creat(64)?|close|read|write|p?(read|write)v?(64)?|lseek(64)?|fopen(64)?|fdopen|freopen|fclose|fread|fwrite|fgets|
fputs|fputc|putc|puts|printf|fprintf|vprintf|vfprintf|__f?printf_chk|__vf?printf_chk|putchar|perror|unlink(at)?|rename(at)?|
mkdir(at)?|rmdir|l?stat(64)?|fstat(at)?(64)?|access|ftruncate(64)?|fsync|fdatasync|mmap(64)?|opendir|readdir(64)?|
fork|vfork|clone|exec.*|posix_spawn.*|system|popen|wait(pid)?|kill|raise|signal|sigaction|sigprocmask|
exit|_exit|_Exit|quick_exit|abort|atexit|on_exit|getenv|secure_getenv|setenv|putenv|getpid|gethostname|uname|syscall|
pthread_.*|thrd_.*|mtx_.*|cnd_.*|sem_.*|
random|srandom|rand(_r)?|srand|[delmnj]rand48(_r)?|srand48|getrandom|getentropy|arc4random.*|RAND_.*|
sqlite3_.*|lws_.*|uv_.*|curl_.*|malloc|calloc|realloc|free|strdup|strndup|
meshping__(transport_open|store|sql|resolver|icmp_socket|privileges)[a-z_]*|meshping_(store|session)_.*
)$'
denied=$(tr -d '\n' <<<"$denied")

echo "core uses these symbols from outside:"
echo "$used" | paste -sd' ' | fold -sw 110 | sed 's/^/  /'
if bad=$(grep -xE "$denied" <<<"$used"); then
    echo "these have no place in core:"
    for symbol in $bad; do
        for object in "$@"; do
            if nm -u --format=posix "$object" | grep -qE "^$symbol(@[^ ]*)? U"; then
                echo "  $symbol in ${object##*/}"
            fi
        done
    done
    exit 1
fi
