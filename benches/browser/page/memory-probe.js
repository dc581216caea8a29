/** Keeps the linear memories of the modules that a page makes, so that the driver can ask for their size. Loaded before the client. */
const memories = [];
const keep = (made) => {
	const { exports } = made.instance ?? made;
	for (const value of Object.values(exports)) if (value instanceof WebAssembly.Memory) memories.push(value);
	return made;
};
for (const name of ["instantiate", "instantiateStreaming"]) {
	const original = WebAssembly[name];
	WebAssembly[name] = async (...parts) => keep(await original.apply(WebAssembly, parts));
}
WebAssembly.Instance = new Proxy(WebAssembly.Instance, { construct: (target, parts) => keep(Reflect.construct(target, parts)) });
globalThis.linearMemory = () => memories.reduce((sum, memory) => sum + memory.buffer.byteLength, 0);
