/** A message of the user: on its way, stored or failed, and the same element all the way. */
import { memo, type ReactNode } from "react";
import type { Outgoing } from "../room.ts";
import { canRetry, sendFailure } from "../words.ts";
import { useRoom } from "./hooks.ts";
import { Icon } from "./icons.tsx";

export interface QuestionProps {
	readonly content: string;
	readonly time: number;
	/** Absent once the event has come. */
	readonly outgoing: Outgoing | undefined;
}

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const DATE = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

export const Question = memo(function Question({ content, time, outgoing }: QuestionProps): ReactNode {
	const room = useRoom();
	const state = outgoing?.state ?? "stored";
	return (
		<article className="question" data-testid="question" data-state={state} aria-label="You">
			<p className="bubble">{content}</p>
			<p className="meta">
				{state === "queued" || state === "sending" ? (
					<>
						<Icon name="clock" size={13} /> {state === "queued" ? "Waiting to be sent" : "Sending"}
					</>
				) : state === "stored" ? (
					<>
						<Icon name="check" size={13} /> <span className="sr-only">Sent at </span>
						<time dateTime={new Date(time).toISOString()} title={DATE.format(time)}>
							{CLOCK.format(time)}
						</time>
					</>
				) : undefined}
			</p>
			{state === "failed" && outgoing !== undefined ? (
				<div className="failure" role="alert">
					<Icon name="alert" size={15} />
					<p>{sendFailure(outgoing.error)}</p>
					{canRetry(outgoing.error) ? (
						<button type="button" className="small" onClick={() => room.retry(outgoing.id)}>
							Try again
						</button>
					) : undefined}
					<button type="button" className="small" onClick={() => room.edit(outgoing.id)}>
						Edit
					</button>
					<button type="button" className="quiet small" onClick={() => room.discard(outgoing.id)}>
						Discard
					</button>
				</div>
			) : undefined}
		</article>
	);
});
