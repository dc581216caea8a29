/** A run: what the agent does, what it says, and how it ended. */
import { memo, type ReactNode, useCallback, useId, useState } from "react";
import type { ApprovalPart, Part, Run as RunState, Thought } from "../fold.ts";
import { plural, runStatus, runTrouble, span } from "../words.ts";
import { useRoom, useSession, useStore, useView } from "./hooks.ts";
import { Icon, type IconName } from "./icons.tsx";
import { Inline, Markdown } from "./markdown.tsx";
import { ToolCard } from "./tool-card.tsx";

type Work = Exclude<Part, { kind: "message" }>;

/** With more steps than this a run that is over shows them on demand. */
const FEW_STEPS = 4;

function useRun(runId: string): RunState | undefined {
	return useView(useCallback(({ conversation }) => conversation.runs.get(runId), [runId]));
}

/** An answer to the user: a run that is no sub-agent. */
export const Run = memo(function Run({ runId, question }: { readonly runId: string; readonly question: string | undefined }): ReactNode {
	const run = useRun(runId);
	if (run === undefined) return null;
	const messages = run.parts.filter((part) => part.kind === "message");
	const steps = run.parts.filter((part): part is Work => part.kind !== "message");
	return (
		<article
			className="run"
			data-testid="run"
			data-status={run.status}
			aria-label={`Answer of ${run.agent ?? "the agent"}: ${runStatus(run).toLowerCase()}`}
			aria-busy={run.status === "running"}
		>
			<RunHead run={run} />
			{steps.length === 0 ? undefined : <Steps steps={steps} run={run} />}
			{messages.map((message) => (
				<div className="message" key={message.id} data-testid="answer" data-state={message.state}>
					<Markdown text={message.text} growing={message.state === "streaming"} />
				</div>
			))}
			{run.status === "running" ? <Thinking thought={run.thought} /> : undefined}
			<Ending run={run} question={question} />
		</article>
	);
});

const STATUS_ICONS: Readonly<Record<RunState["status"], IconName | undefined>> = {
	running: undefined,
	completed: "check",
	cancelled: "stop",
	failed: "alert",
	lost: "orphan",
};

function RunHead({ run }: { readonly run: RunState }): ReactNode {
	const icon = STATUS_ICONS[run.status];
	return (
		<header className="run-head">
			<span className="agent-mark">
				<Icon name="wire" size={16} />
			</span>
			<span className="agent">{run.agent ?? "agent"}</span>
			<span className="status" data-testid="run-status">
				{icon === undefined ? <span className="spinner" /> : <Icon name={icon} size={14} />}
				{runStatus(run)}
			</span>
			{run.durationMs === undefined ? undefined : <span className="time">{span(run.durationMs)}</span>}
		</header>
	);
}

function Steps({ steps, run }: { readonly steps: readonly Work[]; readonly run: RunState }): ReactNode {
	const room = useRoom();
	const [chosen, setChosen] = useState<boolean>();
	const body = useId();
	const open = chosen ?? (steps.length <= FEW_STEPS || run.status === "running" || room.watched(run.runId));
	const tools = steps.filter(({ kind }) => kind === "tool").length;
	const children = steps.filter(({ kind }) => kind === "child").length;
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
					{steps.map((step) => (
						<Step key={keyOf(step)} step={step} />
					))}
				</div>
			) : undefined}
		</section>
	);
}

/** One tool call may be executed again. */
function keyOf(step: Work): string {
	return step.kind === "tool" ? `tool-${step.id}-${step.offset}` : `${step.kind}-${step.id}`;
}

function Step({ step }: { readonly step: Work }): ReactNode {
	switch (step.kind) {
		case "tool":
			return <ToolCard tool={step} />;
		case "child":
			return <Child runId={step.id} />;
		case "approval":
			return <Approval approval={step} />;
		case "note":
			return (
				<p className="note">
					<Icon name="alert" size={15} /> {step.text}
				</p>
			);
	}
}

/** A sub-agent: one line, and what it did on demand. */
const Child = memo(function Child({ runId }: { readonly runId: string }): ReactNode {
	const run = useRun(runId);
	const [open, setOpen] = useState(false);
	const body = useId();
	if (run === undefined) return null;
	const icon = STATUS_ICONS[run.status];
	const line = run.summary ?? run.thought?.text ?? run.task ?? (run.trouble === undefined ? "" : runTrouble(run.trouble));
	return (
		<div className="child" data-testid="sub-agent" data-status={run.status}>
			<button type="button" className="row" aria-expanded={open} aria-controls={body} onClick={() => setOpen(!open)}>
				<span className="mark">{icon === undefined ? <span className="spinner" /> : <Icon name={icon} size={16} />}</span>
				<span className="name">{run.agent ?? "sub-agent"}</span>
				<span className="purpose">
					<Inline text={line} />
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
					{run.parts.map((part) =>
						part.kind === "message" ? <Markdown key={part.id} text={part.text} growing={part.state === "streaming"} /> : <Step key={keyOf(part)} step={part} />,
					)}
				</div>
			) : undefined}
		</div>
	);
});

const RESOLUTIONS = { approved: "Approved", denied: "Denied", expired: "Expired" } as const;

function Approval({ approval }: { readonly approval: ApprovalPart }): ReactNode {
	const room = useRoom();
	const [asked, setAsked] = useState(false);
	const [trouble, setTrouble] = useState<string>();
	const decide = (decision: "approved" | "denied"): void => {
		setAsked(true);
		setTrouble(undefined);
		room.decide(approval.runId, approval.id, decision).catch((error: unknown) => {
			setAsked(false);
			setTrouble(error instanceof Error ? error.message : String(error));
		});
	};
	return (
		<div className="approval" role="group" aria-label="The agent asks for your approval">
			<p>
				<Inline text={approval.prompt} />
			</p>
			{approval.decision === undefined ? (
				<div className="buttons">
					<button type="button" className="primary" disabled={asked} onClick={() => decide("approved")}>
						Approve
					</button>
					<button type="button" disabled={asked} onClick={() => decide("denied")}>
						Deny
					</button>
				</div>
			) : (
				<p className="none">
					{RESOLUTIONS[approval.decision]}
					{approval.user === undefined ? "" : ` by ${approval.user}`}
				</p>
			)}
			{trouble === undefined ? undefined : <p className="trouble">It was not passed on: {trouble}</p>}
		</div>
	);
}

function Thinking({ thought }: { readonly thought: Thought | undefined }): ReactNode {
	const { text = "", step, totalSteps, progress } = thought ?? {};
	return (
		<div className="thinking" data-testid="thinking">
			<span className="pulse" aria-hidden="true">
				<i />
				<i />
				<i />
			</span>
			<span className="thought">{text === "" ? "Starting" : <Inline text={text} />}</span>
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

function Ending({ run, question }: { readonly run: RunState; readonly question: string | undefined }): ReactNode {
	const session = useSession();
	const { failure } = useStore(session.status);
	if (run.trouble === undefined) return null;
	return (
		<div className="ending" data-testid="run-ending" data-status={run.status}>
			<Icon name={run.status === "cancelled" ? "stop" : "alert"} size={16} />
			<div>
				<p>{runTrouble(run.trouble)}</p>
				{run.trouble.suggestions.length === 0 ? undefined : (
					<ul>
						{run.trouble.suggestions.map((text) => (
							<li key={text}>{text}</li>
						))}
					</ul>
				)}
			</div>
			{question === undefined || failure !== undefined ? undefined : (
				<button type="button" className="small" onClick={() => session.ask(question)}>
					<Icon name="repeat" size={14} /> Ask again
				</button>
			)}
		</div>
	);
}
