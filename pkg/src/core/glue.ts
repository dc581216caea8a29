/** The two sides of the border as the glue knows them: what wasm offers, and what it calls. All of it is numbers, but for the socket. */

/** The core of one client, as the glue offers it: `RawClient` of `src/web/client.rs`. */
export interface NumberCore {
	adopt(socket: WebSocket, token: number): void;
	events(socket: number, slot: number, ch: number, first: number, count: number, bytes: number, wall: number): boolean;
	frame(socket: number, slot: number, kind: number): boolean;
	delivered(consumer: number, life: number, offset: number): void;
	call(kind: number): void;
	texts(): boolean;
	alive(): boolean;
	counter(place: number): number;
	free(): void;
}

/** What the core calls: `Host` of `src/web/host.rs`. */
export interface CoreHost {
	next(): number;
	put(number: number): void;
	report(kind: number): boolean;
	write(kind: number): string | undefined;
	text(number: number): string;
	open(address: number): WebSocket | undefined;
	socket(socket: WebSocket | undefined, id: number): void;
	release(slot: number): void;
	deliver(consumer: number, slot: number, skip: number, take: number, offset: number, replayThrough: number): number;
}
