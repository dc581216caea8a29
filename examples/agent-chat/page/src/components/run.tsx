/** A run: what the agent does, what it says, and how it ended. A piece of text renders the text alone. */
import type { MessagePart, Part, Run as RunState, UserMessage } from "agentwire/conversation";
import { suggestionsOf } from "agentwire/conversation/derived";
import { useConversation, useRun, useThread } from "agentwire/react";
import { memo, type ReactNode, useCallback, useId, useState } from "react";
import { type Beside, isOpen, isSameFrame, sideBySide } from "../runs.ts";
import { activity, errorWords, plural, runStatus, runTrouble, span } from "../words.ts";
import { Approval } from "./approval.tsx";
import { useIsOver, useNow } from "./hooks.tsx";
import { Icon, type IconName } from "./icons.tsx";
import { Inline, Markdown } from "./markdown.tsx";
import { ToolCard } from "./tool-card.tsx";

type Work = Exclude<Part, { kind: "message" }>;

/** With more steps than this a run that is over shows them on demand. */
const FEW_STEPS = 4;

const whole = (run: RunState | undefined): RunState | undefined => run;

/** A run without its texts and what it is busy with. */
function useFrame(runId: string): RunState | undefined {
	return useRun(runId, whole, isSameFrame);
}

/** An answer to the user: a run that is no sub-agent. */
export const Run = memo(function Run({ runId }: { readonly runId: string }): ReactNode {
	const run = useFrame(runId);
	if (run === undefined) return null;
	const messages = run.parts.filter((part) => part.kind === "message");
	const steps = run.parts.filter((part): part is Work => part.kind !== "message");
	return (
		<article
			className="run"
			data-testid="run"
			data-status={run.status}
			aria-label={`Answer of ${run.agent ?? "the agent"}: ${runStatus(run).toLowerCase()}`}
			aria-busy={isOpen(run)}
		>
			<RunHead run={run} />
			{steps.length === 0 ? undefined : <Steps steps={steps} run={run} />}
			{messages.map(({ key }) => (
				<Text key={key} runId={runId} messageKey={key} />
			))}
			{run.status === "running" || run.status === "accepted" ? <Thinking runId={runId} /> : undefined}
			<Ending run={run} />
		</article>
	);
});

/** A text of the agent. */
const Text = memo(function Text({ runId, messageKey }: { readonly runId: string; readonly messageKey: string }): ReactNode {
	const message = useRun(
		runId,
		useCallback((run) => run?.parts.find((part): part is MessagePart => part.kind === "message" && part.key === messageKey), [messageKey]),
		Object.is,
	);
	if (message === undefined) return null;
	return (
		<div className="message" data-testid="answer" data-state={message.state}>
			<Markdown text={message.text} growing={message.state === "streaming"} />
			{message.gapped ? <p className="none">A piece of this text may be missing.</p> : undefined}
			{message.truncated ? <p className="none">This text is longer than the page shows.</p> : undefined}
		</div>
	);
});

const STATUS_ICONS: Readonly<Record<RunState["status"], IconName | undefined>> = {
	accepted: undefined,
	running: undefined,
	waiting_for_approval: "hand",
	completed: "check",
	cancelled: "stop",
	failed: "alert",
	lost: "orphan",
};

function StatusIcon({ status, size }: { readonly status: RunState["status"]; readonly size: number }): ReactNode {
	const icon = STATUS_ICONS[status];
	return icon === undefined ? <span className="spinner" /> : <Icon name={icon} size={size} />;
}

function RunHead({ run }: { readonly run: RunState }): ReactNode {
	return (
		<header className="run-head">
			<span className="agent-mark">
				<Icon name="wire" size={16} />
			</span>
			<span className="agent">{run.agent ?? "agent"}</span>
			<span className="status" data-testid="run-status">
				<StatusIcon status={run.status} size={14} />
				{runStatus(run)}
			</span>
			{run.durationMs === undefined ? undefined : <span className="time">{span(run.durationMs)}</span>}
		</header>
	);
}

function Steps({ steps, run }: { readonly steps: readonly Work[]; readonly run: RunState }): ReactNode {
	const caughtUp = useConversation(undefined, undefined, (snapshot) => snapshot.caughtUp);
	const [watched, setWatched] = useState(false);
	const [chosen, setChosen] = useState<boolean>();
	const body = useId();
	const atWork = isOpen(run);
	// What was watched stays as it was when it ends.
	if (atWork && caughtUp && !watched) setWatched(true);
	const open = chosen ?? (steps.length <= FEW_STEPS || atWork || watched);
	const tools = steps.filter(({ kind }) => kind === "tool").length;
	const children = steps.filter(({ kind }) => kind === "run").length;
	const words = [tools > 0 ? plural(tools, "tool call") : "", children > 0 ? plural(children, "sub-agent") : ""].filter((word) => word !== "");
	return (
		<section className="steps" aria-label="What the agent did">
			{steps.length <= FEW_STEPS ? undefined : (
				<button type="button" className="steps-head" aria-expanded={open} aria-controls={body} onClick={() => setChosen(!open)}>
					<span className="turn">
						<Icon name="chevron" size={14} />
					</span>
					{words.length === 0 ? plural(steps.length, "step") : words.join(" and ")}
				</button>
			)}
			{open ? (
				<div id={body} className="steps-list">
					<Parts parts={steps} runId={run.runId} />
				</div>
			) : undefined}
		</section>
	);
}

/** The parts of a run, in their order. Tools that ran at the same time are shown as a row. */
function Parts({ parts, runId }: { readonly parts: readonly Part[]; readonly runId: string }): ReactNode {
	const beside = sideBySide(parts);
	return parts.map((part) => <Step key={part.key} part={part} runId={runId} beside={beside.get(part.key)} />);
}

function Step({ part, runId, beside }: { readonly part: Part; readonly runId: string; readonly beside: Beside | undefined }): ReactNode {
	switch (part.kind) {
		case "message":
			return <Text runId={runId} messageKey={part.key} />;
		case "tool":
			return <ToolCard tool={part} beside={beside} />;
		case "run":
			return <Child runId={part.runId} />;
		case "approval":
			return <Approval runId={runId} approvalId={part.approvalId} />;
		case "error":
			return (
				<div className="note" data-testid="note">
					<Icon name="alert" size={15} />
					<div>
						<p>
							<Inline text={errorWords(part.error)} />
						</p>
						<Suggestions of={part.error.suggestions} />
					</div>
				</div>
			);
	}
}

function Suggestions({ of }: { readonly of: readonly string[] }): ReactNode {
	if (of.length === 0) return null;
	return (
		<ul>
			{of.map((text) => (
				<li key={text}>
					<Inline text={text} />
				</li>
			))}
		</ul>
	);
}

/** A sub-agent: one line, and what it did on demand. */
const Child = memo(function Child({ runId }: { readonly runId: string }): ReactNode {
	const run = useFrame(runId);
	const [open, setOpen] = useState(false);
	const body = useId();
	if (run === undefined) return null;
	return (
		<div className="child" data-testid="sub-agent" data-status={run.status}>
			<button type="button" className="row" aria-expanded={open} aria-controls={body} onClick={() => setOpen(!open)}>
				<span className="mark">
					<StatusIcon status={run.status} size={16} />
				</span>
				<span className="name">{run.agent ?? "sub-agent"}</span>
				<span className="purpose">
					<ChildLine runId={runId} />
				</span>
				<span className="facts">
					<span className={run.status === "completed" ? "sr-only" : "state"}>{runStatus(run)}</span>
					{run.durationMs === undefined ? undefined : <span className="time">{span(run.durationMs)}</span>}
				</span>
				<span className="turn">
					<Icon name="chevron" size={14} />
				</span>
			</button>
			{open ? (
				<div className="nested" id={body}>
					{run.parts.length === 0 ? <p className="none">It has not done anything yet.</p> : undefined}
					<Parts parts={run.parts} runId={runId} />
				</div>
			) : undefined}
		</div>
	);
});

/** What a sub-agent came to, or is busy with. */
function ChildLine({ runId }: { readonly runId: string }): ReactNode {
	const line = useRun(runId, lineOf);
	return <Inline text={line} />;
}

function lineOf(run: RunState | undefined): string {
	if (run === undefined) return "";
	return run.summary ?? runTrouble(run) ?? run.thought?.text ?? run.task ?? "";
}

function Thinking({ runId }: { readonly runId: string }): ReactNode {
	const { thought, words, tools } = useRun(runId, busyWith);
	const { text = "", step, totalSteps, progress } = thought ?? {};
	return (
		<div className="thinking" data-testid="thinking">
			<span className="pulse" aria-hidden="true">
				<i />
				<i />
				<i />
			</span>
			<span className="thought">{text === "" ? words : <Inline text={text} />}</span>
			{text === "" || tools < 2 ? undefined : <span className="step">{tools} tools at once</span>}
			{step === undefined || totalSteps === undefined ? undefined : (
				<span className="step">
					step {step} of {totalSteps}
				</span>
			)}
			{progress === undefined ? undefined : (
				<span className="progress" role="progressbar" aria-label="Progress" aria-valuenow={Math.round(progress)} aria-valuemin={0} aria-valuemax={100}>
					<i style={{ transform: `scaleX(${progress / 100})` }} />
				</span>
			)}
		</div>
	);
}

function busyWith(run: RunState | undefined): { readonly thought: RunState["thought"]; readonly words: string; readonly tools: number } {
	return { thought: run?.thought, words: run === undefined ? "" : activity(run), tools: run?.openTools ?? 0 };
}

/** How a run ended that did not end well, and what can be done about it. */
function Ending({ run }: { readonly run: RunState }): ReactNode {
	const trouble = runTrouble(run);
	if (trouble === undefined) return null;
	const { status, error } = run;
	return (
		<div className="ending" data-testid="run-ending" data-status={status}>
			<Icon name={status === "cancelled" ? "stop" : "alert"} size={16} />
			<div>
				<p>{trouble}</p>
				{error?.source === "agent_error" ? <Suggestions of={suggestionsOf(error).value} /> : undefined}
			</div>
			<AskAgain run={run} />
		</div>
	);
}

function AskAgain({ run: { runId, sendId, endedAt, error } }: { readonly run: RunState }): ReactNode {
	const { send } = useThread();
	const isOver = useIsOver();
	const content = useConversation(
		undefined,
		undefined,
		useCallback(({ items }) => items.find((item): item is UserMessage => item.kind === "user_message" && item.sendId === sendId)?.content, [sendId]),
	);
	const from = (endedAt ?? 0) + (error?.retryAfterMs ?? 0);
	const [isSoon, setIsSoon] = useState(() => from > Date.now());
	const now = useNow(isSoon ? 500 : undefined);
	const seconds = Math.ceil((from - now) / 1_000);
	if (isSoon && seconds <= 0) setIsSoon(false);
	if (sendId === undefined || content === undefined || isOver) return null;
	return (
		<button type="button" className="small" disabled={isSoon} onClick={() => send({ content, metadata: { againOf: runId } })}>
			<Icon name="repeat" size={14} /> Ask again
			{isSoon ? ` in ${Math.max(1, seconds)} s` : ""}
		</button>
	);
}
