package openfile

import "syscall"

const sysFstatat = syscall.SYS_FSTATAT
