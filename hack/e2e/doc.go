// Package e2e holds the tests of the whole program: agents run as processes in
// the nodes of a lab, and what they tell is compared with what an independent
// capture of the same interfaces saw, and with who really talked to whom.
//
// They need root.
package e2e
