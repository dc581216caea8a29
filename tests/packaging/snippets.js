// The snippets of a README, checked by the TypeScript compiler against the package that is installed in an app.
import { execFile } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** What the snippets of pkg/README.md take from the page they stand in. Those of README.md stand alone. */
const AROUND = {
	"pkg/README.md": `
declare function fetchToken(): Promise<string>;
declare function showStatus(text: string | undefined, progress?: number): void;
declare function append(messageId: string, text: string): void;
declare function clearThread(): void;
declare function refetch(from: number, to: number | undefined): void;
declare function showConnection(to: import("agentwire").StateName, retryAt?: number): void;
declare function showOutgoing(messages: readonly import("agentwire").Message[]): void;
declare function render(event: import("agentwire").AgentEvent): void;
declare function redraw(snapshot: import("agentwire/conversation").Snapshot): void;
declare function showMessage(key: string, content: string, state: string | undefined): void;
declare function showRun(run: import("agentwire/conversation").Run | undefined): void;
declare const client: import("agentwire").Client;
declare const thread: import("agentwire").Thread;
declare const signal: AbortSignal;
declare const runId: string;
declare const sendId: string;
declare const approvalId: string;
`,
};

/** The fenced blocks of JavaScript and TypeScript, each with the line of its first line of code. */
export async function snippets(readme) {
	const found = [];
	let open;
	for (const [index, line] of (await readFile(readme, "utf8")).split("\n").entries()) {
		const fence = /^```(\w*)/.exec(line);
		if (fence === null) open?.code.push(line);
		else if (open === undefined) open = { line: index + 2, language: fence[1], code: [] };
		else {
			if (["js", "ts"].includes(open.language)) found.push({ ...open, code: `${open.code.join("\n")}\n` });
			open = undefined;
		}
	}
	return found;
}

/** Checks the snippets of `readme` in a folder of `app`; answers the faults as `file:line: what`. */
export async function check(found, readme, app) {
	const folder = join(app, `snippets-of-${readme.replaceAll("/", "-")}`);
	await mkdir(folder, { recursive: true });
	for (const { line, language, code } of found) {
		// An ellipsis stands for what the reader writes. Empty lines before the code keep the line numbers of the README.
		const text = `${"\n".repeat(line - 1)}${code.replaceAll("=> …", "=> {}").replaceAll(", …", ", () => {}")}\nexport {};\n`;
		await writeFile(join(folder, `${line}.${language}`), text);
	}
	await writeFile(join(folder, "around.d.ts"), AROUND[readme] ?? "");
	await writeFile(
		join(folder, "tsconfig.json"),
		JSON.stringify({
			compilerOptions: {
				target: "ES2024",
				lib: ["ESNext", "DOM", "DOM.Iterable", "DOM.AsyncIterable"],
				module: "esnext",
				moduleResolution: "bundler",
				types: [],
				noEmit: true,
				allowJs: true,
				checkJs: true,
				strict: true,
				// A snippet in JavaScript has no way to say that an element is there.
				strictNullChecks: !found.some(({ language }) => language === "js"),
			},
			include: ["*"],
		}),
	);
	const { error, output } = await compile(folder, app);
	const faults = [...output.matchAll(/^(?:.*[\\/])?(\d+)\.[jt]s\((\d+),\d+\): error (.*)$/gm)].map(([, , line, what]) => ({ line: Number(line), what }));
	if (error !== null && faults.length === 0) throw new Error(`the compiler did not check ${readme}: ${output || error.message}`);
	return faults.sort((one, other) => one.line - other.line).map(({ line, what }) => `${readme}:${line}: ${what}`);
}

function compile(folder, app) {
	const tsc = join(app, "node_modules", "typescript", "bin", "tsc");
	return new Promise((resolve) => {
		execFile(process.execPath, [tsc, "--project", "tsconfig.json", "--pretty", "false"], { cwd: folder }, (error, stdout, stderr) =>
			resolve({ error, output: stdout + stderr }),
		);
	});
}
