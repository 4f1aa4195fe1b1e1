/* Preloaded into Debian's keepalived where the kernel has no ip_vs: requests for IPVS are taken as done. */
struct nl_sock;
struct nl_msg;
typedef int (*callback)(struct nl_msg *, void *);

#define KINDS 8
#define FINISH 1
#define ACK 4

static callback functions[KINDS];
static void *arguments[KINDS];

int genl_ctrl_resolve(struct nl_sock *socket, const char *name) {
	(void)socket, (void)name;
	return 0x7f; /* any family number will do: nothing is sent */
}

int nl_send_auto(struct nl_sock *socket, struct nl_msg *message) {
	(void)socket, (void)message;
	return 1;
}

int nl_socket_modify_cb(struct nl_sock *socket, int type, int kind, callback function, void *argument) {
	(void)socket, (void)kind;
	if (type >= 0 && type < KINDS)
		functions[type] = function, arguments[type] = argument;
	return 0;
}

int nl_recvmsgs_default(struct nl_sock *socket) {
	(void)socket;
	if (functions[FINISH])
		functions[FINISH](0, arguments[FINISH]);
	if (functions[ACK])
		functions[ACK](0, arguments[ACK]);
	return 0;
}
