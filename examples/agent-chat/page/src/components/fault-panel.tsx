/** The switches that break the connection. */
import { type ReactNode, useEffect, useId, useState } from "react";
import { count } from "../words.ts";
import { useFaults, useSession } from "./hooks.tsx";
import { Icon, type IconName } from "./icons.tsx";

const REFRESH_MS = 2_000;
const EVERY = { least: 250, most: 5_000, step: 250, first: 1_000 } as const;

export function FaultPanel({ onClose }: { readonly onClose: () => void }): ReactNode {
	const { faults } = useSession();
	const { switches, expiring, trouble } = useFaults();
	const { everyMs, frozen, offline, kills, cuts } = switches;
	const [killing, setKilling] = useState(false);
	const [chosen, setChosen] = useState<number>(EVERY.first);
	const slider = useId();
	const pace = everyMs > 0 ? everyMs : chosen;

	useEffect(() => {
		void faults.refresh();
		const timer = setInterval(() => void faults.refresh(), REFRESH_MS);
		return () => clearInterval(timer);
	}, [faults]);

	return (
		<section className="fault-panel" aria-label="Break the connection" data-testid="fault-panel">
			<header>
				<h2>Break it</h2>
				<button type="button" className="icon-only" aria-label="Close this panel" onClick={onClose}>
					<Icon name="close" />
				</button>
			</header>
			<p className="lead">Ask something long, then do your worst. Watch the strip below: it compares what this page got with the server’s log.</p>
			{trouble === undefined ? undefined : (
				<p className="trouble" role="alert">
					<Icon name="alert" size={15} /> {trouble}
				</p>
			)}
			<Fault
				icon="cut"
				name="Cut the socket"
				text="Resets the connection in the middle of whatever it carries."
				facts={cuts > 0 ? `${count(cuts)} so far` : undefined}
			>
				<button type="button" data-testid="fault-cut" onClick={() => void faults.cut()}>
					Cut
				</button>
			</Fault>
			<Fault icon="repeat" name="Keep cutting" text="Cuts again and again, also while it reconnects." on={everyMs > 0}>
				<Switch name="Keep cutting" testId="fault-cut-every" on={everyMs > 0} onChange={(on) => void faults.cutEvery(on ? pace : 0)} />
				<div className="slider">
					<label htmlFor={slider}>every</label>
					<input
						id={slider}
						type="range"
						min={EVERY.least}
						max={EVERY.most}
						step={EVERY.step}
						value={pace}
						aria-valuetext={`${pace} milliseconds`}
						onChange={(event) => {
							const next = event.target.valueAsNumber;
							setChosen(next);
							if (everyMs > 0) void faults.cutEvery(next);
						}}
					/>
					<output htmlFor={slider}>{count(pace)} ms</output>
				</div>
			</Fault>
			<Fault
				icon="freeze"
				name="Freeze traffic"
				text="Nothing closes and nothing comes through: only a missing heartbeat gives it away, after up to 15 seconds."
				on={frozen}
			>
				<Switch name="Freeze traffic" testId="fault-freeze" on={frozen} onChange={(on) => void faults.freeze(on)} />
			</Fault>
			<Fault
				icon="offline"
				name="Go offline"
				text="The line is refused, and the browser says that there is no network. The page still tries: this server is on your machine."
				on={offline}
			>
				<Switch name="Go offline" testId="fault-offline" on={offline} onChange={(on) => void faults.offline(on)} />
			</Fault>
			<Fault
				icon="restart"
				name="Restart the server"
				text="SIGKILL, then started again. A run that was at work ends as interrupted."
				facts={kills > 0 ? `${count(kills)} so far` : undefined}
			>
				<button
					type="button"
					data-testid="fault-kill"
					disabled={killing}
					onClick={() => {
						setKilling(true);
						void faults.kill().finally(() => setKilling(false));
					}}
				>
					{killing ? "Restarting…" : "Kill"}
				</button>
			</Fault>
			<Fault
				icon="key"
				name="Let the token expire"
				text="Reconnects with a token for 3 seconds and refuses to renew it: the server closes the door, and a new token opens it."
				on={expiring}
			>
				<button type="button" data-testid="fault-expire" disabled={expiring} onClick={() => void faults.expire()}>
					{expiring ? "Expiring…" : "Expire"}
				</button>
			</Fault>
		</section>
	);
}

interface FaultProps {
	readonly icon: IconName;
	readonly name: string;
	readonly text: string;
	readonly on?: boolean;
	readonly facts?: string | undefined;
	readonly children: ReactNode;
}

function Fault({ icon, name, text, on = false, facts, children }: FaultProps): ReactNode {
	return (
		<div className="fault" role="group" aria-label={name} data-on={on}>
			<span className="fault-icon">
				<Icon name={icon} />
			</span>
			<h3>
				{name}
				{on ? <span className="on">on</span> : undefined}
				{facts === undefined ? undefined : <span className="facts">{facts}</span>}
			</h3>
			<p>{text}</p>
			<div className="fault-control">{children}</div>
		</div>
	);
}

function Switch({
	name,
	testId,
	on,
	onChange,
}: {
	readonly name: string;
	readonly testId: string;
	readonly on: boolean;
	readonly onChange: (on: boolean) => void;
}): ReactNode {
	return (
		<button type="button" role="switch" aria-checked={on} aria-label={name} className="switch" data-testid={testId} onClick={() => onChange(!on)}>
			<i aria-hidden="true" />
		</button>
	);
}
