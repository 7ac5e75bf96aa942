//+------------------------------------------------------------------+
//|                                                        Crc32.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// CRC-32 as zlib and PNG have it: reflected, polynomial 0xEDB88320, begun with all ones and ended
// with all bits inverted. May touch: arrays. Over the ASCII bytes "123456789" it is 0xCBF43926.

#ifndef BRIDGE_SUPPORT_CRC32_MQH
#define BRIDGE_SUPPORT_CRC32_MQH

#define CRC32_POLYNOMIAL 0xEDB88320

//+------------------------------------------------------------------+
//| The table is made once; Update continues a CRC that was returned.|
//+------------------------------------------------------------------+
class CCrc32
  {
private:
   uint              m_table[256];

public:
                     CCrc32(void);
   // The CRC over begin..begin+count, continuing one over the bytes before (0 for none).
   uint              Update(const uint crc,const uchar &data[],const int begin,const int count) const;
   uint              Of(const uchar &data[]) const { return(Update(0,data,0,ArraySize(data))); }
   // The same over the eight bytes of a number, lowest first.
   uint              Word(const uint crc,const ulong word) const;
  };

CCrc32::CCrc32(void)
  {
   for(int i=0; i<256; i++)
     {
      uint value=(uint)i;
      for(int bit=0; bit<8; bit++)
         value=((value&1)!=0 ? (value>>1)^CRC32_POLYNOMIAL : value>>1);
      m_table[i]=value;
     }
  }

uint CCrc32::Update(const uint crc,const uchar &data[],const int begin,const int count) const
  {
   uint value=~crc;
   if(begin<0 || count<0 || count>ArraySize(data)-begin)
      return(crc);
   for(int i=begin; i<begin+count; i++)
      value=m_table[(int)((value^(uint)data[i])&0xFF)]^(value>>8);
   return(~value);
  }

uint CCrc32::Word(const uint crc,const ulong word) const
  {
   uint value=~crc;
   ulong rest=word;
   for(int i=0; i<8; i++)
     {
      value=m_table[(int)((value^(uint)(rest&0xFF))&0xFF)]^(value>>8);
      rest=rest>>8;
     }
   return(~value);
  }

#endif // BRIDGE_SUPPORT_CRC32_MQH
