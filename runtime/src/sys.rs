//! The crate's only `unsafe`: system calls that no safe crate wraps. Each function does one call, checks its result and
//! gives it a safe signature; nothing here decides anything.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::sys::signal::SigSet;
use rustix::process::Pid;
use rustix::thread::UnshareFlags;

/// Leaves the namespaces that `flags` name for new ones. The caller has one thread, which [`crate::proc::thread_count`] proves.
pub(crate) fn unshare(flags: UnshareFlags) -> io::Result<()> {
    debug_assert!(
        !flags.contains(UnshareFlags::FILES),
        "file tables are never unshared here"
    );
    // SAFETY: the only hazard that rustix names is a thread that loses descriptors with UnshareFlags::FILES, which no
    // caller passes.
    unsafe { rustix::thread::unshare_unsafe(flags) }.map_err(io::Error::from)
}

/// Marks every descriptor from 3 on close-on-exec, so that no program that is executed later inherits one by accident.
pub(crate) fn close_all_on_exec() -> io::Result<()> {
    // SAFETY: close_range with CLOSE_RANGE_CLOEXEC closes nothing; it only sets a flag on descriptors.
    let status = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            3u32,
            u32::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    if status == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Leaves the descriptors from 3 on open for the next program, `count` of them. Fails when one is not open.
pub(crate) fn keep_on_exec(count: u32) -> io::Result<()> {
    for number in (3..).take(usize::try_from(count).unwrap_or_default()) {
        // SAFETY: F_SETFD only changes a flag of a descriptor; a number that is none is an error.
        if unsafe { libc::fcntl(number, libc::F_SETFD, 0) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Whether a number is an open descriptor.
pub(crate) fn is_open(number: RawFd) -> bool {
    // SAFETY: F_GETFD only asks.
    unsafe { libc::fcntl(number, libc::F_GETFD) >= 0 }
}

/// Forks a child that waits until a byte comes through the pipe `go` (read end, write end) and then executes `program`; it
/// ends when none comes, because whoever has the write end is gone. The child keeps nothing open but stdio and has an empty
/// environment. Only called while the process has one thread.
pub(crate) fn spawn_later(
    go: [BorrowedFd<'_>; 2],
    program: &CString,
    args: &[CString],
) -> io::Result<Pid> {
    let mut argv: Vec<*const libc::c_char> = args.iter().map(|arg| arg.as_ptr()).collect();
    argv.push(std::ptr::null());
    let envp = [std::ptr::null::<libc::c_char>()];
    // SAFETY: the process has one thread, so the child may run any code; it runs only async-signal-safe calls. `program`,
    // `argv` and `envp` are NUL-terminated and outlive the child's use of them, since execve copies.
    let pid = unsafe { libc::fork() };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            let mut byte = 0u8;
            // SAFETY: in the child: `byte` is one valid byte; close, read, execve and _exit are async-signal-safe, and the
            // descriptor that is closed is used by nobody in the child.
            unsafe {
                libc::close(go[1].as_raw_fd());
                if libc::read(go[0].as_raw_fd(), (&raw mut byte).cast(), 1) == 1 {
                    libc::execve(program.as_ptr(), argv.as_ptr(), envp.as_ptr());
                }
                libc::_exit(127)
            }
        }
        pid => Pid::from_raw(pid).ok_or_else(|| io::Error::other("fork returned no pid")),
    }
}

/// Sends a signal by its number to the process of a pidfd, real-time signals among them, which no safe crate names.
pub(crate) fn pidfd_send_signal(process: &OwnedFd, signal: i32) -> io::Result<()> {
    let info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: pidfd_send_signal reads no memory when it is given no siginfo; a wrong number or descriptor is an error.
    let status = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            process.as_raw_fd(),
            signal,
            info,
            0u32,
        )
    };
    if status == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// As [`spawn_later`], for a program that goes on running: it has `stdio`'s first descriptor for stdin and stdout and the
/// second for stderr, takes every signal, and is killed when this process ends.
pub(crate) fn spawn_bound(
    go: [BorrowedFd<'_>; 2],
    program: &CString,
    args: &[CString],
    stdio: [BorrowedFd<'_>; 2],
) -> io::Result<Pid> {
    let mut argv: Vec<*const libc::c_char> = args.iter().map(|arg| arg.as_ptr()).collect();
    argv.push(std::ptr::null());
    let envp = [std::ptr::null::<libc::c_char>()];
    let none = [0u64; 1];
    // SAFETY: as in `spawn_later`.
    let pid = unsafe { libc::fork() };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            let mut byte = 0u8;
            // SAFETY: in the child: `byte` is one valid byte and `none` a signal set of the kernel's size; all calls are
            // async-signal-safe, and the descriptor that is closed is used by nobody in the child.
            unsafe {
                libc::close(go[1].as_raw_fd());
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                libc::dup2(stdio[0].as_raw_fd(), 0);
                libc::dup2(stdio[0].as_raw_fd(), 1);
                libc::dup2(stdio[1].as_raw_fd(), 2);
                // Rust ignores SIGPIPE, which pasta takes for a failure.
                default_signals();
                if libc::read(go[0].as_raw_fd(), (&raw mut byte).cast(), 1) == 1 {
                    let size = size_of_val(&none);
                    let (set, old) = (none.as_ptr(), std::ptr::null_mut::<u64>());
                    libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, set, old, size);
                    libc::execve(program.as_ptr(), argv.as_ptr(), envp.as_ptr());
                }
                libc::_exit(127)
            }
        }
        pid => Pid::from_raw(pid).ok_or_else(|| io::Error::other("fork returned no pid")),
    }
}

/// Gives free memory of the heap back to the kernel.
pub(crate) fn trim_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes no pointer and leaves everything that is allocated where it is.
    unsafe {
        libc::malloc_trim(0)
    };
}

/// Takes the pages of a mapping out of memory; what is touched again comes back from its file. `range` is a mapping of a
/// file that cannot be written to and in which no page was changed, as `/proc/self/smaps` has told.
pub(crate) fn forget_pages(range: std::ops::Range<usize>) {
    let (start, length) = (range.start as *mut libc::c_void, range.len());
    // SAFETY: MADV_DONTNEED changes what can be read only where a page differs from its file, and none does here. A range
    // that is mapped no more is an error, which leaves all as it is.
    unsafe { libc::madvise(start, length, libc::MADV_DONTNEED) };
}

/// Brings the loopback device of the current network namespace up.
pub(crate) fn loopback_up() -> io::Result<()> {
    let socket = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        None,
    )?;
    // SAFETY: ifreq is plain old data for which all zeroes is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (slot, byte) in request.ifr_name.iter_mut().zip(b"lo") {
        *slot = libc::c_char::try_from(*byte).unwrap_or_default();
    }
    let flags = libc::IFF_UP | libc::IFF_RUNNING;
    request.ifr_ifru.ifru_flags = libc::c_short::try_from(flags).unwrap_or_default();
    // SAFETY: SIOCSIFFLAGS reads one ifreq, which `request` is; the socket is open.
    let status = unsafe {
        libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCSIFFLAGS as _,
            &raw const request,
        )
    };
    if status == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Installs a compiled seccomp filter on this process. `program` is an array of `sock_filter`, as libseccomp exports it.
pub(crate) fn load_seccomp(program: &[u8]) -> io::Result<()> {
    let instructions: Vec<libc::sock_filter> = program
        .chunks_exact(8)
        .map(|raw| libc::sock_filter {
            code: u16::from_ne_bytes([raw[0], raw[1]]),
            jt: raw[2],
            jf: raw[3],
            k: u32::from_ne_bytes([raw[4], raw[5], raw[6], raw[7]]),
        })
        .collect();
    let len = u16::try_from(instructions.len())
        .map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    let filter = libc::sock_fprog {
        len,
        filter: instructions.as_ptr().cast_mut(),
    };
    // SAFETY: `filter` describes `len` valid instructions that live until the call returns; the kernel copies and checks
    // them.
    let status = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            0u32,
            &raw const filter,
        )
    };
    if status == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Gives a program that decides about devices to the kernel, which checks it. `program` is an array of `bpf_insn`.
pub(crate) fn load_device_program(program: &[u8]) -> io::Result<OwnedFd> {
    /// What the kernel reads of `union bpf_attr`; what is beyond counts as zero.
    #[repr(C)]
    struct Load {
        kind: u32,
        count: u32,
        instructions: u64,
        license: u64,
    }
    const BPF_PROG_LOAD: libc::c_int = 5;
    const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
    let count = u32::try_from(program.len() / 8)
        .map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    let load = Load {
        kind: BPF_PROG_TYPE_CGROUP_DEVICE,
        count,
        instructions: program.as_ptr().expose_provenance() as u64,
        license: c"".as_ptr().expose_provenance() as u64,
    };
    // SAFETY: the kernel reads one `Load`, `count` instructions of eight bytes, which are in `program`, and a C string; all
    // of them live until the call returns, and it writes nothing.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_PROG_LOAD,
            &raw const load,
            size_of::<Load>(),
        )
    };
    match RawFd::try_from(fd) {
        // SAFETY: the kernel has just made this descriptor for us; it closes on exec.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Has a program decide about the devices of the control group that `group` is the directory of, besides those that decide
/// already.
pub(crate) fn attach_device_program(
    group: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
) -> io::Result<()> {
    const BPF_PROG_ATTACH: libc::c_int = 8;
    const BPF_CGROUP_DEVICE: i32 = 6;
    const BPF_F_ALLOW_MULTI: i32 = 2;
    let attach = [
        group.as_raw_fd(),
        program.as_raw_fd(),
        BPF_CGROUP_DEVICE,
        BPF_F_ALLOW_MULTI,
    ];
    // SAFETY: the kernel reads these four numbers and writes nothing.
    let status = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_PROG_ATTACH,
            attach.as_ptr(),
            size_of_val(&attach),
        )
    };
    match status {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Gives every signal its default action back: Rust's start-up code ignores SIGPIPE, glibc's posix_spawn the signals it
/// uses itself, a caller whatever it likes, and exec passes all of that on.
pub(crate) fn default_signals() {
    // The kernel's own struct sigaction: handler, flags, restorer and mask. All zero is the default action.
    let default = [0u64; 4];
    let previous = std::ptr::null_mut::<u64>();
    for signal in 1..=64 {
        // SAFETY: the kernel reads one struct sigaction from `default` and writes nothing; no handler is installed. glibc's
        // wrapper would refuse its own signals. SIGKILL and SIGSTOP are refused by the kernel, and rightly.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                previous,
                size_of::<u64>(),
            )
        };
    }
}

/// Makes the detached mount at `tree` read-only, for good: it is in no namespace where it could be remounted.
pub(crate) fn set_mount_read_only(tree: &OwnedFd) -> io::Result<()> {
    set_mount_attributes(tree, libc::MOUNT_ATTR_RDONLY, false)
}

/// Gives the detached mount at `tree` attributes (`MOUNT_ATTR_*`), and where it is recursive all that is mounted below it.
pub(crate) fn set_mount_attributes(tree: &OwnedFd, set: u64, recursive: bool) -> io::Result<()> {
    let flags = if recursive { libc::AT_RECURSIVE } else { 0 };
    set_attributes(tree.as_raw_fd(), c"", flags, set, 0)
}

/// Gives the detached mount at `tree` a propagation (`MS_SHARED` and its like), and where it is recursive all below it.
pub(crate) fn set_mount_propagation(tree: &OwnedFd, kind: u64, recursive: bool) -> io::Result<()> {
    let flags = if recursive { libc::AT_RECURSIVE } else { 0 };
    set_attributes(tree.as_raw_fd(), c"", flags, 0, kind)
}

/// Makes the mount at the absolute `path` read-only in this mount namespace.
pub(crate) fn remount_read_only(path: &CStr) -> io::Result<()> {
    set_attributes(libc::AT_FDCWD, path, 0, libc::MOUNT_ATTR_RDONLY, 0)
}

fn set_attributes(
    dir: RawFd,
    path: &CStr,
    flags: libc::c_int,
    set: u64,
    propagation: u64,
) -> io::Result<()> {
    let attr = libc::mount_attr {
        attr_set: set,
        attr_clr: 0,
        propagation,
        userns_fd: 0,
    };
    let size = std::mem::size_of::<libc::mount_attr>();
    // SAFETY: mount_setattr reads `size` bytes of one initialised mount_attr; the path is a C string.
    let status = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            dir,
            path.as_ptr(),
            libc::AT_EMPTY_PATH | flags,
            &raw const attr,
            size,
        )
    };
    if status == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Takes over a descriptor that the program before this one has left open under `number`; `None` when there is none.
pub(crate) fn inherited(number: RawFd) -> Option<OwnedFd> {
    // SAFETY: F_GETFD only asks whether the number is a descriptor.
    if number < 3 || unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
        return None;
    }
    // SAFETY: it is open, and nothing in this process, which has just begun, owns it.
    Some(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Forks. Gives the child's pid in the parent and `None` in the child. Only called while the process has one thread, so that
/// the child may run any code.
pub(crate) fn fork() -> io::Result<Option<Pid>> {
    // SAFETY: with one thread nothing is held by a thread that the child lacks.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        pid => Ok(Pid::from_raw(pid)),
    }
}

/// Ends this process at once, without anything that the C library or Rust would do at an exit.
pub(crate) fn exit_at_once(code: u8) -> ! {
    // SAFETY: _exit runs no code of ours.
    unsafe { libc::_exit(i32::from(code)) }
}

/// Forgets the environment. The process has one thread.
pub(crate) fn clear_environment() {
    // SAFETY: nobody else reads the environment meanwhile, since there is no other thread, and nothing of it is borrowed:
    // Rust hands out copies.
    unsafe { libc::clearenv() };
}

/// Closes every descriptor but stdio and `keep`. What owned one must not be used or dropped afterwards.
pub(crate) fn close_others(keep: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let close = |first: u32, last: u32| {
        if first > last {
            return Ok(());
        }
        // SAFETY: the caller uses none of these descriptors any more.
        match unsafe { libc::syscall(libc::SYS_close_range, first, last, 0u32) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    let keep = keep.and_then(|fd| u32::try_from(fd.as_raw_fd()).ok());
    match keep.filter(|fd| *fd > 2) {
        None => close(3, u32::MAX),
        Some(keep) => close(3, keep - 1).and_then(|()| close(keep + 1, u32::MAX)),
    }
}

/// Closes every descriptor of this process. What owned one must not be used or dropped afterwards.
pub(crate) fn close_everything() {
    // SAFETY: the caller uses no descriptor any more. It fails for no reason that could matter to a caller.
    unsafe { libc::syscall(libc::SYS_close_range, 0u32, u32::MAX, 0u32) };
}

/// Waits for a signal that is blocked, takes it, and gives its number.
pub(crate) fn wait_for_signal(set: &SigSet) -> io::Result<i32> {
    let info = std::ptr::null_mut::<libc::siginfo_t>();
    // SAFETY: the set is initialised, and no information is asked for.
    match unsafe { libc::sigwaitinfo(set.as_ref(), info) } {
        -1 => Err(io::Error::last_os_error()),
        signal => Ok(signal),
    }
}

/// Sends a signal, also a real-time one, to a child of this process that was not waited for.
pub(crate) fn send_signal(pid: Pid, signal: i32) -> io::Result<()> {
    // SAFETY: kill takes two numbers.
    match unsafe { libc::kill(pid.as_raw_nonzero().get(), signal) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Overwrites the arguments that this process was executed with, which every process can read: they lie between these
/// addresses, as the kernel tells them of this very process. Nothing may read them afterwards.
pub(crate) fn overwrite_arguments(from: usize, to: usize, text: &[u8]) {
    for (offset, address) in (from..to).enumerate() {
        let byte = text.get(offset).copied().unwrap_or_default();
        // SAFETY: the kernel put the arguments there, on the stack of the first thread, where they stay mapped and
        // writable; Rust keeps only the pointer to them, which nobody follows any more.
        unsafe { std::ptr::with_exposed_provenance_mut::<u8>(address).write_volatile(byte) };
    }
}
