// A server for many clients: `agentwire-stand`, with its own secret and an empty log.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHmac, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { LISTENING, said } from "../page/program.js";

/** A tick of the processor times of Linux, in milliseconds. */
const TICK = 10;

/** Starts the server that `AGENTWIRE_STAND` names. `startedIn` is how many milliseconds it took until it listened. */
export async function stand(limits) {
	const program = process.env.AGENTWIRE_STAND;
	assert.ok(program, "AGENTWIRE_STAND is not set; `cargo xtask test --only sessions` sets it");
	const folder = await mkdtemp(join(tmpdir(), "agentwire-sessions-"));
	const secret = randomBytes(32).toString("hex");
	const started = performance.now();
	const server = spawn(program, ["--log", join(folder, "log.sqlite"), "--secret", secret, "--limits", JSON.stringify(limits)], {
		stdio: ["ignore", "pipe", "pipe"],
	});
	const stop = async () => {
		if (server.exitCode === null && server.signalCode === null) {
			const ended = once(server, "exit");
			server.kill();
			await ended;
		}
		await rm(folder, { recursive: true, force: true });
	};
	try {
		const address = await said(server, LISTENING);
		const startedIn = performance.now() - started;
		const token = (user) => sign({ sub: user, exp: 4_000_000_000 }, secret);
		return { address, startedIn, token, stop, pid: server.pid };
	} catch (error) {
		await stop();
		throw error;
	}
}

/**
 * What other programs have taken from the processes `pids`, in milliseconds; 0 where the system does not tell. It is never more than these
 * have waited for a processor, and never more than the others have had of each processor.
 */
export async function taken(pids, since) {
	const [had, waits] = await Promise.all([others(pids), Promise.all(pids.map(waited))]);
	const now = { had, waited: waits.reduce((one, other) => one + other, 0) };
	return { ...now, ms: since === undefined ? 0 : Math.min(now.had - since.had, now.waited - since.waited) };
}

/** For how long other programs have had the processors, in milliseconds of each of them. */
async function others(pids) {
	try {
		const [, ...all] = (await readFile("/proc/stat", "utf8")).split("\n")[0].trim().split(/ +/);
		const [user, nice, system, , , interrupts, soft, stolen] = all.map(Number);
		const own = await Promise.all(pids.map(busy));
		const sum = own.reduce((one, other) => one + other, 0);
		return ((user + nice + system + interrupts + soft + stolen - sum) * TICK) / availableParallelism();
	} catch {
		return 0;
	}
}

/** For how long the thread of a process that waited for longest has been ready and had no processor, in milliseconds. */
async function waited(pid) {
	try {
		const threads = await readdir(`/proc/${pid}/task`);
		const waits = threads.map(async (thread) => {
			// It may have ended meanwhile.
			const text = await readFile(`/proc/${pid}/task/${thread}/schedstat`, "utf8").catch(() => "0 0 0");
			return Number(text.split(" ")[1]) / 1e6;
		});
		return Math.max(...(await Promise.all(waits)));
	} catch {
		return 0;
	}
}

/** For how many ticks a process has had a processor. */
async function busy(pid) {
	const stat = await readFile(`/proc/${pid}/stat`, "utf8");
	// Behind the name, which can hold anything.
	const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
	return Number(fields[11]) + Number(fields[12]);
}

/** The events of a thread as the log has them. */
export async function logged(server, user, thread) {
	const response = await fetch(`${server.address}/v1/threads/${thread}/events?limit=1000`, { headers: { authorization: `Bearer ${server.token(user)}` } });
	assert.equal(response.status, 200);
	return (await response.json()).events;
}

/** A JSON Web Token that is signed with HMAC-SHA-256. */
function sign(claims, secret) {
	const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
	const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}`;
	return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}
