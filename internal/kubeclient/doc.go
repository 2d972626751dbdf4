// Package kubeclient follows objects of the API of a Kubernetes cluster.
//
// A [Resource] is a kind of objects that is listed and watched by a Reflector of
// client-go. No object of the API is kept: it is turned into the little that is needed
// as it comes in, by a [Typed] store, and handed on.
//
// While the API cannot be reached nothing is handed on, so what is known stays, and it
// is asked again and again, at least every 15 seconds. [Health] knows of that, and logs
// it once for each time.
package kubeclient
