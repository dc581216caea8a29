/** Where the user writes: to be answered next, into the answer at work, or instead of it. */
import type { SendOptions } from "agentwire";
import type { Snapshot } from "agentwire/conversation";
import { useConnection, useConversation, useThread } from "agentwire/react";
import {
	createContext,
	type FormEvent,
	type KeyboardEvent,
	type ReactNode,
	type RefObject,
	useContext,
	useEffect,
	useImperativeHandle,
	useLayoutEffect,
	useRef,
	useState,
} from "react";
import { openAnswers } from "../runs.ts";
import { cancelOutcome, notDone, plural, typingWords } from "../words.ts";
import { useIsOver, useSession } from "./hooks.tsx";
import { Icon } from "./icons.tsx";
import { useTyping } from "./typing.ts";

/** Longest question, in characters. */
const MAX_CHARACTERS = 100_000;

/** What other components do with the field. */
export interface ComposerHandle {
	/** Puts a text before what is written. */
	prepend(text: string): void;
	focus(): void;
}

const ComposerContext = createContext<RefObject<ComposerHandle | null>>({ current: null });

export function ComposerProvider({ children }: { readonly children: ReactNode }): ReactNode {
	const handle = useRef<ComposerHandle>(null);
	return <ComposerContext.Provider value={handle}>{children}</ComposerContext.Provider>;
}

/** The field of the conversation that is shown. */
export function useComposer(): RefObject<ComposerHandle | null> {
	return useContext(ComposerContext);
}

type Mode = NonNullable<SendOptions["mode"]>;

const selectOpen = ({ conversation }: Snapshot): readonly string[] => openAnswers(conversation);

export function Composer(): ReactNode {
	const { user, drafts } = useSession();
	const { name, send, cancel } = useThread();
	const isOnline = useConnection(({ state }) => state.name === "connected");
	const isOver = useIsOver();
	const open = useConversation(undefined, undefined, selectOpen);
	const ended = useConversation(undefined, undefined, (snapshot) => snapshot.ended !== undefined);
	const { users, start } = useTyping();
	const [text, setText] = useState(() => drafts.get(name) ?? "");
	const [chosen, setChosen] = useState<Mode>("queue");
	const [stopping, setStopping] = useState(false);
	const [said, setSaid] = useState<string>();
	const field = useRef<HTMLTextAreaElement>(null);
	const working = open.length > 0;
	const closed = isOver || ended;
	const long = text.length > MAX_CHARACTERS;
	const ready = text.trim() !== "" && !closed && !long;

	const change = (next: string): void => {
		drafts.set(name, next);
		setText(next);
		setSaid(undefined);
	};
	useImperativeHandle(useComposer(), () => ({
		prepend: (before) => {
			change(text === "" ? before : `${before}\n\n${text}`);
			field.current?.focus();
		},
		focus: () => field.current?.focus(),
	}));
	useEffect(() => {
		if (working) return;
		setStopping(false);
		setChosen("queue");
	}, [working]);
	useEffect(() => {
		if (matchMedia("(pointer: fine)").matches) field.current?.focus();
	}, []);
	// biome-ignore lint/correctness/useExhaustiveDependencies: the text decides the height
	useLayoutEffect(() => {
		const element = field.current;
		if (element === null) return;
		element.style.height = "auto";
		element.style.height = `${element.scrollHeight}px`;
	}, [text]);

	const ask = (mode: Mode): void => {
		if (!ready) return;
		try {
			send(text.trim(), optionsOf(working ? mode : "queue", open));
			change("");
			setChosen("queue");
		} catch (error) {
			setSaid(notDone(error));
		}
		field.current?.focus();
	};
	const stop = (): void => {
		if (!working || stopping) return;
		setStopping(true);
		Promise.all(open.map((runId) => cancel(runId))).then(
			(outcomes) => {
				const words = outcomes.map(cancelOutcome).find((word) => word !== undefined);
				setSaid(words);
				if (words !== undefined) setStopping(false);
			},
			(error: unknown) => {
				setStopping(false);
				setSaid(notDone(error));
			},
		);
	};
	const onSubmit = (event: FormEvent): void => {
		event.preventDefault();
		ask(chosen);
	};
	const onKeyDown = (event: KeyboardEvent): void => {
		if (event.nativeEvent.isComposing) return;
		if (event.key === "Enter" && !event.shiftKey) {
			event.preventDefault();
			ask(event.ctrlKey || event.metaKey ? "steer" : chosen);
		}
		if (event.key === "Escape" && working) {
			event.preventDefault();
			stop();
		}
	};
	const offline = isOnline || closed ? undefined : "Not connected: what you write now is sent as soon as it can be.";
	const hint = long
		? `Too long by ${plural(text.length - MAX_CHARACTERS, "character")}: shorten it or send it in parts.`
		: (said ?? offline ?? typingWords(users, user));
	return (
		<form className="composer" onSubmit={onSubmit}>
			{working && !closed ? <Modes chosen={chosen} onChoose={setChosen} /> : undefined}
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
					placeholder={closed ? "This conversation is closed" : working ? MODES[chosen].placeholder : "Ask about the files…"}
					aria-describedby="composer-hint"
					aria-invalid={long}
					enterKeyHint="send"
					onChange={(event) => {
						change(event.target.value);
						start();
					}}
					onKeyDown={onKeyDown}
				/>
				{working ? (
					<button type="button" className="stop" data-testid="stop" disabled={stopping} onClick={stop}>
						<Icon name="stop" size={16} />
						{stopping ? "Stopping…" : "Stop"}
					</button>
				) : undefined}
				<button type="submit" className="send" data-testid="send" disabled={!ready} aria-label={isOnline ? "Send" : "Send when connected"}>
					<Icon name="arrowUp" size={18} />
				</button>
			</div>
			<p id="composer-hint" className="composer-hint">
				<span role="status" data-testid="hint">
					{hint}
				</span>
				<span className="keys">
					<kbd>Enter</kbd> sends{" "}
					{working ? (
						<>
							<kbd>Ctrl</kbd> <kbd>Enter</kbd> steers <kbd>Esc</kbd> stops
						</>
					) : (
						<>
							<kbd>Shift</kbd> <kbd>Enter</kbd> new line
						</>
					)}
				</span>
			</p>
		</form>
	);
}

/** A message that steers is for the answer that began last. */
function optionsOf(mode: Mode, open: readonly string[]): SendOptions {
	const runId = open.at(-1);
	return mode === "steer" && runId !== undefined ? { mode, runId } : { mode };
}

const MODES: Readonly<Record<Mode, { readonly name: string; readonly title: string; readonly placeholder: string }>> = {
	queue: { name: "After this answer", title: "Your message waits for its turn", placeholder: "Ask the next question…" },
	steer: { name: "Into this answer", title: "Your message is for the answer at work", placeholder: "Say what to change, such as “skip tests”…" },
	interrupt: { name: "Instead of it", title: "Your message ends the answer at work", placeholder: "Ask something else instead…" },
};

/** What happens with a message while an answer is at work. */
function Modes({ chosen, onChoose }: { readonly chosen: Mode; readonly onChoose: (mode: Mode) => void }): ReactNode {
	return (
		<fieldset className="modes" data-testid="modes">
			<legend className="sr-only">When your message is taken up</legend>
			{(Object.keys(MODES) as Mode[]).map((mode) => (
				<label key={mode} title={MODES[mode].title}>
					<input type="radio" name="mode" value={mode} checked={mode === chosen} onChange={() => onChoose(mode)} />
					<span>{MODES[mode].name}</span>
				</label>
			))}
		</fieldset>
	);
}
