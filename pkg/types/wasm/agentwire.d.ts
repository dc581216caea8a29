/** Stands for the declarations of the generated glue until they are made; `load.ts` says what it needs of them. */
declare const init: unknown;
export default init;
