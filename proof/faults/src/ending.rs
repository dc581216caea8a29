//! Ends processes, gently or not.

/// How to end a process.
#[derive(Debug, Clone, Copy)]
pub enum Ending {
    /// As a terminal does on Ctrl-C.
    Interrupt,
    /// Asks it to stop.
    Ask,
    /// Leaves it no time.
    Kill,
}

/// Ends the process `id`, or the whole group that it leads. One that is gone already is no error.
#[cfg(unix)]
pub fn signal(id: u32, group: bool, ending: Ending) {
    use rustix::process::{Pid, Signal, kill_process, kill_process_group};
    let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) else {
        return;
    };
    let signal = match ending {
        Ending::Interrupt => Signal::INT,
        Ending::Ask => Signal::TERM,
        Ending::Kill => Signal::KILL,
    };
    // ESRCH is what an ended process answers.
    let _gone = if group { kill_process_group(pid, signal) } else { kill_process(pid, signal) };
}

/// Ends the process `id` and its children; this system knows no gentle way.
#[cfg(not(unix))]
pub fn signal(id: u32, _group: bool, _ending: Ending) {
    let _gone = std::process::Command::new("taskkill").args(["/T", "/F", "/PID", &id.to_string()]).output();
}
