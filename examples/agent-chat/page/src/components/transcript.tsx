/** The conversation, and the way back to its end. */
import { type ReactNode, useCallback, useEffect, useLayoutEffect, useRef, useState } from "react";
import type { Item } from "../fold.ts";
import type { Outgoing, View } from "../room.ts";
import { gapWords } from "../words.ts";
import { EmptyState } from "./empty-state.tsx";
import { useRoom, useView } from "./hooks.ts";
import { Icon } from "./icons.tsx";
import { Question } from "./question.tsx";
import { Run } from "./run.tsx";

/** Closer to the end than this, in pixels, the reader is at the end. */
const AT_END = 56;

const selectView = (view: View): View => view;

export function Transcript(): ReactNode {
	const { conversation, outgoing, loaded, ended } = useView(selectView);
	const { items } = conversation;
	const parts = items.length + outgoing.length + [...conversation.runs.values()].reduce((sum, run) => sum + run.parts.length, 0);
	const scroll = useScroll(parts);
	const empty = items.length === 0 && outgoing.length === 0;
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
					{conversation.reset === undefined ? undefined : <Fact text={gapWords(conversation.reset)} />}
					{empty && loaded ? <EmptyState /> : undefined}
					{empty && !loaded ? <Skeleton /> : undefined}
					{items.map((item, index) => (
						<Entry key={keyOf(item)} item={item} question={questionBefore(items, index)} />
					))}
					{outgoing.map((one) => (
						<Question key={`question-${one.id}`} content={one.content} time={one.time} outgoing={one} />
					))}
					<Waiting items={items} outgoing={outgoing} />
					{ended === undefined ? undefined : <Fact text={`The server ended this conversation here (${ended.reason}).`} />}
				</div>
			</div>
			{scroll.away ? (
				<button type="button" className="jump" data-testid="jump" onClick={scroll.toEnd}>
					<Icon name="arrowDown" size={16} />
					Jump to latest
					{scroll.fresh > 0 ? (
						<span className="count">
							{scroll.fresh}
							<span className="sr-only"> new</span>
						</span>
					) : undefined}
				</button>
			) : undefined}
		</div>
	);
}

function Entry({ item, question }: { readonly item: Item; readonly question: string | undefined }): ReactNode {
	switch (item.kind) {
		case "question":
			return <Question content={item.content} time={item.time} outgoing={undefined} />;
		case "answer":
			return <Run runId={item.runId} question={question} />;
		case "missing":
			return <Fact text={gapWords(item.gap)} />;
	}
}

function keyOf(item: Item): string {
	if (item.kind === "question") return `question-${item.sendId ?? item.offset}`;
	return item.kind === "answer" ? `answer-${item.runId}` : `missing-${item.offset}`;
}

function questionBefore(items: readonly Item[], index: number): string | undefined {
	const before = items.slice(0, index).findLast((item) => item.kind === "question");
	return before?.kind === "question" ? before.content : undefined;
}

/** Between a question that was sent and the run that claims it. */
function Waiting({ items, outgoing }: { readonly items: readonly Item[]; readonly outgoing: readonly Outgoing[] }): ReactNode {
	const last = outgoing.at(-1)?.state ?? items.at(-1)?.kind;
	if (last !== "stored" && last !== "question") return null;
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

interface Scroll {
	readonly frame: React.RefObject<HTMLDivElement | null>;
	readonly content: React.RefObject<HTMLDivElement | null>;
	/** Is the reader away from the end? */
	readonly away: boolean;
	/** Parts that came since. */
	readonly fresh: number;
	readonly onScroll: () => void;
	readonly toEnd: () => void;
}

/** Stays at the end as long as the reader is there. `parts` counts what there is to read. */
function useScroll(parts: number): Scroll {
	const room = useRoom();
	const frame = useRef<HTMLDivElement>(null);
	const content = useRef<HTMLDivElement>(null);
	const stuck = useRef(true);
	const top = useRef(0);
	const [left, setLeft] = useState<number>();
	const latest = useRef(parts);
	latest.current = parts;

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
			setLeft((former) => former ?? latest.current);
		}
	}, []);
	const toEnd = useCallback(() => {
		stuck.current = true;
		setLeft(undefined);
		follow();
		frame.current?.focus({ preventScroll: true });
	}, [follow]);

	// biome-ignore lint/correctness/useExhaustiveDependencies: once for each room
	useLayoutEffect(() => {
		stuck.current = true;
		top.current = 0;
		setLeft(undefined);
		follow();
	}, [room, follow]);
	useLayoutEffect(follow);
	useEffect(() => {
		const observer = new ResizeObserver(follow);
		if (frame.current !== null) observer.observe(frame.current);
		if (content.current !== null) observer.observe(content.current);
		return () => observer.disconnect();
	}, [follow]);
	// One's own message is always in sight.
	const own = useView(useCallback(({ outgoing }) => outgoing.at(-1)?.id, []));
	useLayoutEffect(() => {
		if (own === undefined) return;
		stuck.current = true;
		setLeft(undefined);
		follow();
	}, [own, follow]);

	return { frame, content, away: left !== undefined, fresh: left === undefined ? 0 : Math.max(0, parts - left), onScroll, toEnd };
}
