import { type KeyboardEvent, type ReactNode, useCallback, useEffect, useLayoutEffect, useRef, useState } from "react";
import { cancelOutcome, plural } from "../words.ts";
import { useRoom, useSession, useStore, useView } from "./hooks.ts";
import { Icon } from "./icons.tsx";

/** Longest question, in characters. */
const MAX_CHARACTERS = 100_000;

export function Composer(): ReactNode {
	const session = useSession();
	const room = useRoom();
	const { connection, failure } = useStore(session.status);
	const working = useView(useCallback(({ conversation }) => conversation.open > 0, []));
	const draft = useStore(room.draft);
	const [text, setText] = useState(draft.text);
	const [stopping, setStopping] = useState(false);
	const [said, setSaid] = useState<string>();
	const field = useRef<HTMLTextAreaElement>(null);
	const ended = useView(useCallback(({ ended }) => ended !== undefined, []));
	const closed = failure !== undefined || ended;
	const long = text.length > MAX_CHARACTERS;
	const ready = text.trim() !== "" && !closed && !long;
	const online = connection.name === "connected";

	const shown = useRef(draft);
	useEffect(() => {
		if (shown.current === draft) return;
		shown.current = draft;
		setText(draft.text);
		field.current?.focus();
	}, [draft]);
	useEffect(() => {
		if (!working) setStopping(false);
	}, [working]);
	// biome-ignore lint/correctness/useExhaustiveDependencies: once for each room
	useEffect(() => {
		if (matchMedia("(pointer: fine)").matches) field.current?.focus();
	}, [room]);
	// biome-ignore lint/correctness/useExhaustiveDependencies: the text decides the height
	useLayoutEffect(() => {
		const element = field.current;
		if (element === null) return;
		element.style.height = "auto";
		element.style.height = `${element.scrollHeight}px`;
	}, [text]);

	const change = (next: string): void => {
		room.wrote(next);
		setText(next);
		setSaid(undefined);
	};
	const send = (): void => {
		if (!ready) return;
		session.ask(text.trim());
		change("");
		field.current?.focus();
	};
	const stop = (): void => {
		if (!working || stopping) return;
		setStopping(true);
		room.stop().then(
			(outcomes) => {
				const words = outcomes.map(cancelOutcome).find((word) => word !== undefined);
				setSaid(words);
				if (words !== undefined) setStopping(false);
			},
			(error: unknown) => {
				setStopping(false);
				setSaid(`It could not be stopped: ${error instanceof Error ? error.message : String(error)}`);
			},
		);
	};
	const onKeyDown = (event: KeyboardEvent): void => {
		if (event.nativeEvent.isComposing) return;
		if (event.key === "Enter" && !event.shiftKey) {
			event.preventDefault();
			send();
		}
		if (event.key === "Escape" && working) {
			event.preventDefault();
			stop();
		}
	};
	const hint = long
		? `Too long by ${plural(text.length - MAX_CHARACTERS, "character")}: shorten it or send it in parts.`
		: (said ?? (online || closed ? "" : "Not connected: what you write now is sent as soon as it can be."));
	return (
		<form
			className="composer"
			onSubmit={(event) => {
				event.preventDefault();
				send();
			}}
		>
			<div className="composer-box">
				<label className="sr-only" htmlFor="composer">
					Your question
				</label>
				<textarea
					id="composer"
					data-testid="composer"
					ref={field}
					rows={1}
					value={text}
					disabled={closed}
					placeholder={closed ? "This conversation is closed" : "Ask about the files…"}
					aria-describedby="composer-hint"
					aria-invalid={long}
					enterKeyHint="send"
					onChange={(event) => change(event.target.value)}
					onKeyDown={onKeyDown}
				/>
				{working ? (
					<button type="button" className="stop" data-testid="stop" disabled={stopping} onClick={stop}>
						<Icon name="stop" size={16} />
						{stopping ? "Stopping…" : "Stop"}
					</button>
				) : undefined}
				<button type="submit" className="send" data-testid="send" disabled={!ready} aria-label={online ? "Send" : "Send when connected"}>
					<Icon name="arrowUp" size={18} />
				</button>
			</div>
			<p id="composer-hint" className="composer-hint">
				<span role="status">{hint}</span>
				<span className="keys">
					<kbd>Enter</kbd> sends <kbd>Shift</kbd> <kbd>Enter</kbd> new line <kbd>Esc</kbd> stops
				</span>
			</p>
		</form>
	);
}
