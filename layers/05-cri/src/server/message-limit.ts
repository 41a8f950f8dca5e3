/** The kubelet receives at most 16 MiB a message and sends no more, and so does containerd. */
export const MESSAGE_LIMIT_BYTES = 16 * 1024 * 1024;
