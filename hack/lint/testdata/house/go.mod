module example.com/house

go 1.26

require google.golang.org/protobuf v1.0.0

replace google.golang.org/protobuf => ./protobuf
