/** The conversation, and the way back to its end. */
import type { Item, Snapshot } from "agentwire/conversation";
import { useConversation, useMessages, useThread } from "agentwire/react";
import { memo, type ReactNode, useCallback, useEffect, useLayoutEffect, useRef, useState } from "react";
import { gapWords, RESET_WORDS } from "../words.ts";
import { EmptyState } from "./empty-state.tsx";
import { useSession } from "./hooks.tsx";
import { Icon } from "./icons.tsx";
import { Message } from "./message.tsx";
import { Run } from "./run.tsx";

/** Closer to the end than this, in pixels, the reader is at the end. */
const AT_END = 56;

export function Transcript(): ReactNode {
	const { items, caughtUp, ended } = useMessages();
	const { name } = useThread();
	const { threads } = useSession();
	// A conversation that was begun just now has nothing to load.
	const [isKnown] = useState(() => threads.get(name) !== undefined);
	const scroll = useScroll(items);
	return (
		<div className="transcript-frame">
			<div
				className="transcript"
				data-testid="transcript"
				ref={scroll.frame}
				onScroll={scroll.onScroll}
				role="log"
				aria-live="off"
				aria-label="Conversation"
				tabIndex={0}
				id="conversation"
			>
				<div className="transcript-content" ref={scroll.content}>
					{items.length > 0 ? undefined : caughtUp || !isKnown ? <EmptyState /> : <Skeleton />}
					{items.map((item) => (
						<Entry key={item.key} item={item} />
					))}
					<Waiting items={items} />
					{ended === undefined ? undefined : <Fact text={`The server ended this conversation here (${ended.reason}).`} />}
				</div>
			</div>
			{scroll.left === undefined ? undefined : <Jump left={scroll.left} onJump={scroll.toEnd} />}
		</div>
	);
}

const Entry = memo(function Entry({ item }: { readonly item: Item }): ReactNode {
	switch (item.kind) {
		case "user_message":
			return <Message message={item} />;
		case "run":
			return <Run runId={item.runId} />;
		case "gap":
			return <Fact text={gapWords(item)} />;
		case "reset":
			return <Fact text={RESET_WORDS} />;
	}
});

/** Between a question that was stored and the run that claims it. */
function Waiting({ items }: { readonly items: readonly Item[] }): ReactNode {
	const isIdle = useConversation(undefined, undefined, ({ conversation }) => conversation.openRuns === 0);
	const last = items.at(-1);
	if (!isIdle || last?.kind !== "user_message" || last.answeredBy !== undefined || last.steering?.taken === true) return null;
	if ((last.sending !== undefined && last.sending.state !== "stored") || last.queue?.waiting === false) return null;
	return (
		<p className="thinking alone" data-testid="waiting">
			<span className="pulse" aria-hidden="true">
				<i />
				<i />
				<i />
			</span>
			<span className="thought">The agent will answer in a moment</span>
		</p>
	);
}

function Fact({ text }: { readonly text: string }): ReactNode {
	return (
		<p className="fact" role="note">
			<Icon name="alert" size={15} /> {text}
		</p>
	);
}

function Skeleton(): ReactNode {
	return (
		<div className="skeleton">
			<p className="sr-only">Loading the conversation</p>
			<i />
			<i />
			<i />
			<i />
		</div>
	);
}

/** Everything there is to read, in parts. */
function countParts({ conversation, items }: Snapshot): number {
	return conversation.runs.reduce((sum, run) => sum + run.parts.length, items.length);
}

/** The way back to the end, and how much came since the reader left it. */
function Jump({ left, onJump }: { readonly left: number; readonly onJump: () => void }): ReactNode {
	const fresh = useConversation(undefined, undefined, countParts) - left;
	return (
		<button type="button" className="jump" data-testid="jump" onClick={onJump}>
			<Icon name="arrowDown" size={16} />
			Jump to latest
			{fresh > 0 ? (
				<span className="count">
					{fresh}
					<span className="sr-only"> new</span>
				</span>
			) : undefined}
		</button>
	);
}

interface Scroll {
	readonly frame: React.RefObject<HTMLDivElement | null>;
	readonly content: React.RefObject<HTMLDivElement | null>;
	/** The parts there were when the reader left the end; `undefined` at the end. */
	readonly left: number | undefined;
	readonly onScroll: () => void;
	readonly toEnd: () => void;
}

/** Stays at the end as long as the reader is there. */
function useScroll(items: readonly Item[]): Scroll {
	const { getSnapshot } = useThread();
	const frame = useRef<HTMLDivElement>(null);
	const content = useRef<HTMLDivElement>(null);
	const stuck = useRef(true);
	const top = useRef(0);
	const [left, setLeft] = useState<number>();

	const follow = useCallback(() => {
		const element = frame.current;
		if (element !== null && stuck.current) element.scrollTop = element.scrollHeight;
	}, []);
	const onScroll = useCallback(() => {
		const element = frame.current;
		if (element === null) return;
		const rest = element.scrollHeight - element.clientHeight - element.scrollTop;
		// Content that grows never moves the top: only the reader moves it up.
		const up = element.scrollTop < top.current - 1;
		top.current = element.scrollTop;
		if (rest < AT_END && !(up && rest > 2)) {
			stuck.current = true;
			setLeft(undefined);
		} else if (up || !stuck.current) {
			stuck.current = false;
			setLeft((former) => former ?? countParts(getSnapshot()));
		}
	}, [getSnapshot]);
	const stick = useCallback(() => {
		stuck.current = true;
		setLeft(undefined);
		follow();
	}, [follow]);
	const toEnd = useCallback(() => {
		stick();
		frame.current?.focus({ preventScroll: true });
	}, [stick]);

	useLayoutEffect(follow);
	useEffect(() => {
		const observer = new ResizeObserver(follow);
		if (frame.current !== null) observer.observe(frame.current);
		if (content.current !== null) observer.observe(content.current);
		return () => observer.disconnect();
	}, [follow]);
	// One's own message is always in sight.
	const own = items.findLast((item) => item.kind === "user_message" && item.sending !== undefined)?.key;
	useLayoutEffect(() => {
		if (own !== undefined) stick();
	}, [own, stick]);

	return { frame, content, left, onScroll, toEnd };
}
