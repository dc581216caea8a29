/** A message of the user: on its way, waiting, answered, taken back or failed, and the same element all the way. */
import type { UserMessage } from "agentwire/conversation";
import { useThread } from "agentwire/react";
import { type KeyboardEvent, memo, type ReactNode, useEffect, useRef, useState } from "react";
import { canRetry, editOutcome, messageState, notDone, sendFailure, withdrawOutcome } from "../words.ts";
import { useComposer } from "./composer.tsx";
import { Icon, type IconName } from "./icons.tsx";

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const DATE = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** For whoever styles and tests it. */
type Stage = "queued" | "sending" | "failed" | "waiting" | "withdrawn" | "stored";

export const Message = memo(function Message({ message }: { readonly message: UserMessage }): ReactNode {
	const { edit } = useThread();
	const [editing, setEditing] = useState(false);
	const [said, setSaid] = useState<string>();
	const editor = useRef<HTMLButtonElement>(null);
	const { content, sendId, sending } = message;
	const stage = stageOf(message);
	const close = (): void => {
		setEditing(false);
		// The button comes back with the next render.
		requestAnimationFrame(() => editor.current?.focus());
	};
	const save = (text: string): void => {
		close();
		if (sendId === undefined || text.trim() === "" || text.trim() === content) return;
		edit(sendId, text.trim()).then(
			(outcome) => setSaid(editOutcome(outcome)),
			(error: unknown) => setSaid(notDone(error)),
		);
	};
	return (
		<article className="question" data-testid="question" data-state={stage} aria-label="You">
			{editing && stage === "waiting" ? <Editor content={content} onSave={save} onCancel={close} /> : <p className="bubble">{content}</p>}
			<Meta message={message} stage={stage} />
			{stage === "waiting" || stage === "queued" ? (
				<div className="actions">
					{stage === "waiting" && !editing ? (
						<button type="button" className="quiet small" ref={editor} onClick={() => setEditing(true)}>
							<Icon name="edit" size={13} /> Edit
						</button>
					) : undefined}
					<Withdraw sendId={sendId} onSaid={setSaid} />
				</div>
			) : undefined}
			{said === undefined ? undefined : (
				<p className="meta" role="status">
					{said}
				</p>
			)}
			{stage === "failed" ? <Failure message={message} error={sending?.error} /> : undefined}
		</article>
	);
});

function stageOf({ sending, queue, steering }: UserMessage): Stage {
	if (sending !== undefined) return sending.state;
	if (queue?.waiting === true || (steering?.taken === false && queue === undefined)) return "waiting";
	return queue?.waiting === false && queue.reason !== "claimed" ? "withdrawn" : "stored";
}

const ICONS: Readonly<Record<Stage, IconName | undefined>> = {
	queued: "clock",
	sending: "clock",
	waiting: "clock",
	stored: "check",
	withdrawn: "close",
	failed: undefined,
};

function Meta({ message, stage }: { readonly message: UserMessage; readonly stage: Stage }): ReactNode {
	const { time } = message;
	const words = messageState(message);
	const icon = ICONS[stage];
	return (
		<p className="meta">
			{icon === undefined ? undefined : <Icon name={icon} size={13} />}
			{words === undefined ? undefined : <span>{words}</span>}
			{stage !== "stored" || time === undefined ? undefined : (
				<>
					<span className="sr-only">Sent at </span>
					<time dateTime={new Date(time).toISOString()} title={DATE.format(time)}>
						{CLOCK.format(time)}
					</time>
				</>
			)}
		</p>
	);
}

function Withdraw({ sendId, onSaid }: { readonly sendId: string | undefined; readonly onSaid: (words: string | undefined) => void }): ReactNode {
	const { withdraw } = useThread();
	const composer = useComposer();
	const [asked, setAsked] = useState(false);
	if (sendId === undefined) return null;
	const takeBack = (): void => {
		setAsked(true);
		withdraw(sendId)
			.then(
				(outcome) => {
					onSaid(withdrawOutcome(outcome));
					// This button goes away with it.
					if (outcome === "withdrawn") composer.current?.focus();
				},
				(error: unknown) => onSaid(notDone(error)),
			)
			.finally(() => setAsked(false));
	};
	return (
		<button type="button" className="quiet small" data-testid="withdraw" disabled={asked} onClick={takeBack}>
			<Icon name="close" size={13} /> Take back
		</button>
	);
}

/** The text of a message that waits, while it is changed. */
function Editor({
	content,
	onSave,
	onCancel,
}: {
	readonly content: string;
	readonly onSave: (text: string) => void;
	readonly onCancel: () => void;
}): ReactNode {
	const field = useRef<HTMLTextAreaElement>(null);
	useEffect(() => field.current?.select(), []);
	const save = (): void => onSave(field.current?.value ?? content);
	const onKeyDown = (event: KeyboardEvent): void => {
		if (event.nativeEvent.isComposing || !["Enter", "Escape"].includes(event.key) || event.shiftKey) return;
		event.preventDefault();
		event.stopPropagation();
		if (event.key === "Enter") save();
		else onCancel();
	};
	return (
		<form
			className="edit"
			onSubmit={(event) => {
				event.preventDefault();
				save();
			}}
		>
			<textarea ref={field} rows={Math.min(8, content.split("\n").length + 1)} defaultValue={content} aria-label="Your message" onKeyDown={onKeyDown} />
			<div className="actions">
				<button type="submit" className="primary small">
					Save
				</button>
				<button type="button" className="small" onClick={onCancel}>
					Cancel
				</button>
			</div>
		</form>
	);
}

function Failure({ message: { sendId, content }, error }: { readonly message: UserMessage; readonly error: Error | undefined }): ReactNode {
	const { retry, discard } = useThread();
	const composer = useComposer();
	if (sendId === undefined) return null;
	const edit = (): void => {
		discard(sendId);
		composer.current?.prepend(content);
	};
	return (
		<div className="failure" role="alert">
			<Icon name="alert" size={15} />
			<p>{sendFailure(error)}</p>
			{canRetry(error) ? (
				<button type="button" className="small" onClick={() => void retry(sendId)?.catch(() => undefined)}>
					Try again
				</button>
			) : undefined}
			<button type="button" className="small" onClick={edit}>
				Edit
			</button>
			<button
				type="button"
				className="quiet small"
				onClick={() => {
					discard(sendId);
					composer.current?.focus();
				}}
			>
				Discard
			</button>
		</div>
	);
}
