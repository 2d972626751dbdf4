// Package agent is the observer of one node: it opens the datapath, fills the
// tables that name endpoints and services, and serves the history. It only
// joins the packages below it, which know nothing of each other beyond what
// their place in the data's way needs.
package agent
