/** The machine, as far as figures depend on it. */
import { cpus, loadavg, release, totalmem, type } from "node:os";

export function machine(chromium) {
	const [first] = cpus();
	return {
		cpu: first?.model.trim() ?? "unknown",
		cores: cpus().length,
		memoryGiB: Math.round(totalmem() / 2 ** 30),
		system: `${type()} ${release()}`,
		chromium,
		node: process.version,
		loadAverage: loadavg().map((load) => Math.round(load * 100) / 100),
	};
}
