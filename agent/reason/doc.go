// Package reason has the one table of the kernel's reasons for dropping packets
// (enum skb_drop_reason in include/net/dropreason-core.h): which are no loss to
// anyone, and what Hubble calls the others.
//
// Reasons go by their names without the prefix SKB_DROP_REASON_, as their numbers
// differ from kernel to kernel. A reason that is newer than the table is a loss that
// Hubble has no word for; its name is told all the same. What has no reason is a loss
// in some functions only, which Losing lists.
package reason
