/** CPU time of a thread, from the scheduler's own books. */
import { readFileSync } from "node:fs";

/** Nanoseconds that the main thread of process `id` has run. */
export function mainThreadNs(id) {
	return Number(readFileSync(`/proc/${id}/task/${id}/schedstat`, "latin1").split(" ", 1)[0]);
}

/** Says what is missing on systems that keep no such books. */
export function checkProc() {
	try {
		if (mainThreadNs(process.pid) > 0) return;
	} catch {
		// Said below.
	}
	throw new Error("/proc/<id>/task/<id>/schedstat can't be read: the benchmark measures by it and needs Linux with CONFIG_SCHED_INFO");
}
