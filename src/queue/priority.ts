/** Of a message that asks for none. */
export const usualPriority = 5;
